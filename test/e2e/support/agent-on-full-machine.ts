// The full machine of the lab with an agent running on it: booted once, for many tests one after the other.
import { bootGuest } from '../lab/boot.ts';
import type { Guest } from '../lab/guest.ts';
import type { KernelName } from '../lab/kernels.ts';
import type { AgentInGuest } from './agent-in-guest.ts';
import { startAgentInGuest } from './agent-in-guest.ts';
import type { DeviceInGuest } from './devices-in-guest.ts';
import { addressesOf, readDevices } from './devices-in-guest.ts';

const names = [
  'edu',
  'nic',
  'pair0',
  'pair1',
  'pair-port',
  'hot',
  'uplink',
  'display',
  'bridge',
  'legacy-nic',
  'legacy-edu',
  'igb',
  'nvme',
  'faulty',
  'numa-nic',
  'state',
] as const;
type Name = (typeof names)[number];

export interface AgentOnFullMachine {
  readonly guest: Guest;
  readonly agent: AgentInGuest;
  /** PCI addresses by name; `state` is a disk mounted on /srv/data. */
  readonly at: Readonly<Record<Name, string>>;
  /** All of them as the kernel shows them now. */
  read(): Promise<Readonly<Record<Name, DeviceInGuest>>>;
}

/** Boots it, and starts the agent without policies. */
export async function bootAgentOnFullMachine(kernel: KernelName): Promise<AgentOnFullMachine> {
  const guest = await bootGuest({ kernel, disks: [{ name: 'state', mount: '/srv/data' }] });
  const at = await addressesOf(guest, names);
  return { guest, agent: await startAgentInGuest(guest), at, read: () => readDevices(guest, at) };
}

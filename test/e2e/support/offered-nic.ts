// A small machine on which an agent offers one NIC to a kubelet, with its state directory on a small disk of its own.
import { bootGuest } from '../lab/boot.ts';
import type { Guest } from '../lab/guest.ts';
import type { KernelName } from '../lab/kernels.ts';
import { openHttpInGuest, startAgentInGuest } from './agent-in-guest.ts';
import type { AgentInGuest, HttpInGuest } from './agent-in-guest.ts';
import { addressesOf } from './devices-in-guest.ts';
import { startKubeletInGuest } from './kubelet-in-guest.ts';
import type { KubeletInGuest } from './kubelet-in-guest.ts';

/** The resource as which the NIC is offered, by the policy `nic`. */
export const resource = 'vfio-operator.dev/nic';
/** The state directory: the root of a tmpfs of 512 KiB. */
export const state = '/srv/state';
/** How its agents are started. */
export const options = { kubelet: 'required', state, flags: ['--interval', '2'] } as const;

export interface OfferedNic {
  readonly guest: Guest;
  readonly kubelet: KubeletInGuest;
  readonly agent: AgentInGuest;
  readonly http: HttpInGuest;
  /** The NIC, and a device that no policy wants yet. */
  readonly at: Readonly<Record<'nic' | 'edu', string>>;
}

/** Boots it; resolves once kubelet has the NIC as healthy. */
export async function bootOfferedNic(kernel: KernelName): Promise<OfferedNic> {
  const guest = await bootGuest({ kernel, topology: 'small' });
  const at = await addressesOf(guest, ['nic', 'edu']);
  const kubelet = await startKubeletInGuest(guest);
  await guest.run(`mkdir -p ${state}; mount -t tmpfs -o size=512k none ${state}`);
  const agent = await startAgentInGuest(guest, options);
  const http = await openHttpInGuest(guest);
  await agent.putPolicy('nic', { devices: [{ addresses: [at.nic] }], resource: { name: resource } });
  await agent.waitForDecisions({ [at.nic]: 'Bound' });
  await kubelet.waitForListing('the nic', (listing) => listing[resource]?.[0]?.health === 'Healthy');
  return { guest, kubelet, agent, http, at };
}

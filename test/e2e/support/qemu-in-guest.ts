// A hypervisor inside a guest of the lab: the lab's own QEMU, given one device through its cdev and iommufd. It stays paused: what is asked
// is whether the device is realised, which opens, binds, attaches and maps it as for a running machine.
import type { Guest } from '../lab/guest.ts';
import { LabError } from '../lab/lab-error.ts';
import { loaderArguments } from '../lab/tools.ts';

/** The device as QEMU has it, and what QEMU has open. */
export interface PassedDevice {
  readonly vendor: number;
  readonly device: number;
  readonly bars: readonly { readonly bar: number; readonly size: number; readonly type: string }[];
  readonly opened: readonly string[];
}

interface PciDevice {
  readonly qdev_id: string;
  readonly id: { readonly vendor: number; readonly device: number };
  readonly regions: readonly { readonly bar: number; readonly size: number; readonly type: string }[];
}

const tools = '/lab/tools';

/** Starts QEMU with the device at `address`, looks at it, and ends QEMU. */
export async function passThroughInGuest(guest: Guest, address: string): Promise<PassedDevice> {
  const program = [...loaderArguments(tools), `${tools}/usr/bin/qemu-system-x86_64`].join(' ');
  const machine = `-L ${tools}/usr/share/qemu -L ${tools}/usr/share/seabios -nodefaults -no-user-config -display none -S -accel tcg -machine q35 -m 64M`;
  const device = `-object iommufd,id=iommufd0 -device vfio-pci,id=passed,host=${address},iommufd=iommufd0,romfile=`;
  const process = await guest.spawn(`exec ${program} ${machine} ${device} -qmp stdio`);
  await process.waitFor('"QMP"', 120_000);
  await process.input('{"execute":"qmp_capabilities"}\n{"execute":"query-pci","id":"pci"}\n');
  await process.waitFor('"id": "pci"', 60_000);
  const links = await guest.run(`ls -l /proc/${process.pid}/fd | sed -n 's/.* -> //p'`);
  await process.input('{"execute":"quit"}\n');
  await process.ended;
  const line = process
    .stdout()
    .split('\n')
    .find((text) => text.includes('"id": "pci"'));
  const answer = JSON.parse(line ?? '{}') as { readonly return: readonly { readonly devices: readonly PciDevice[] }[] };
  const found = answer.return.flatMap((bus) => bus.devices).find(({ qdev_id }) => qdev_id === 'passed');
  if (found === undefined) throw new LabError(`QEMU in the guest has no device ${address}: ${line}`);
  const bars = found.regions.map(({ bar, size, type }) => ({ bar, size, type }));
  return { ...found.id, bars, opened: links.split('\n').filter((path) => path.startsWith('/dev/')) };
}

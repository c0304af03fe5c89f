// What the kernel of a guest says of PCI devices, VFIO and the agent's journal: read in one round trip, believed before any log.
import type { JournalState } from '../../../src/host/journal-fold.ts';
import { emptyJournalState, foldRecord } from '../../../src/host/journal-fold.ts';
import { decodeJournal } from '../../../src/host/journal-record.ts';
import type { Guest, GuestProcess } from '../lab/guest.ts';
import type { FileOperation, FileResult } from '../lab/protocol.ts';

const devices = '/sys/bus/pci/devices';

/** One device as sysfs and /dev/vfio show it; null is what the kernel does not have. */
export interface DeviceInGuest {
  readonly driver: string | null;
  /** `(null)` when none is set, as the kernel prints it; null when it was not read. */
  readonly override: string | null;
  readonly group: string | null;
  /** Whether /dev/vfio/GROUP is there. */
  readonly groupNode: boolean;
  /** vfioN, where the kernel has cdevs. */
  readonly cdev: string | null;
  readonly virtualFunctions: number | null;
}

/** The state of a device that is nobody's business of VFIO. */
export function onHost(driver: string | null): Partial<DeviceInGuest> {
  return { driver, override: '(null)', groupNode: false, cdev: null };
}

/** The state of a device that VFIO has. */
export function onVfio(driver: string): Partial<DeviceInGuest> {
  return { driver, override: driver, groupNode: true };
}

/**
 * Reads devices in one batch. While a kernel write to a device has not returned, reading its driver_override or sriov_numvfs hangs too:
 * 'links only' leaves both out.
 */
export async function readDevices<Name extends string>(
  guest: Guest,
  addresses: Readonly<Record<Name, string>>,
  read: 'everything' | 'links only' = 'everything',
): Promise<Readonly<Record<Name, DeviceInGuest>>> {
  const names = Object.keys(addresses) as Name[];
  const perDevice = 5;
  const operations = names.flatMap((name): FileOperation[] => {
    const path = `${devices}/${addresses[name]}`;
    const guarded = (file: string): FileOperation =>
      read === 'everything' ? { op: 'readText', path: `${path}/${file}` } : { op: 'exists', path };
    return [
      { op: 'readLink', path: `${path}/driver` },
      { op: 'readLink', path: `${path}/iommu_group` },
      { op: 'list', path: `${path}/vfio-dev` },
      guarded('driver_override'),
      guarded('sriov_numvfs'),
    ];
  });
  const results = await guest.files([{ op: 'list', path: '/dev/vfio' }, ...operations]);
  const nodes = listOf(results[0]);
  const states = names.map((name, index): readonly [Name, DeviceInGuest] => {
    const [driver, group, cdevs, override, count] = results.slice(1 + index * perDevice);
    const groupName = nameOf(group);
    const numvfs = textOf(count);
    return [
      name,
      {
        driver: nameOf(driver),
        override: textOf(override),
        group: groupName,
        groupNode: groupName !== null && nodes.includes(groupName),
        cdev: listOf(cdevs)[0] ?? null,
        virtualFunctions: numvfs === null ? null : Number(numvfs),
      },
    ];
  });
  return Object.fromEntries(states) as Record<Name, DeviceInGuest>;
}

/** Addresses of lab devices by name. */
export async function addressesOf<Name extends string>(
  guest: Guest,
  names: readonly Name[],
): Promise<Readonly<Record<Name, string>>> {
  const found = await Promise.all(names.map(async (name) => [name, await guest.pciAddress(name)] as const));
  return Object.fromEntries(found) as Record<Name, string>;
}

/** The kernel's counter of everything it told user space: every bind, unbind, device and module that comes or goes. */
export async function readEventCount(guest: Guest): Promise<number> {
  return Number(await guest.readText('/sys/kernel/uevent_seqnum'));
}

/** Opens the device through its group as a virtual machine does; it lets go on SIGTERM. */
export async function holdDevice(guest: Guest, group: string | null, address: string): Promise<GuestProcess> {
  const holder = await guest.spawn(`exec /lab/vfio-holder device ${group} ${address}`);
  await holder.waitFor('holding', 30_000);
  return holder;
}

/** The fold of the agent's journal, each record's checksum verified. */
export async function readJournalInGuest(guest: Guest, state = '/var/lib/vfio-operator'): Promise<JournalState> {
  const path = `${state}/journal`;
  const text = await guest.readText(path);
  const bootId = (await guest.readText('/proc/sys/kernel/random/boot_id')).trim();
  return decodeJournal(path, text, bootId).records.reduce(foldRecord, emptyJournalState);
}

/** Complaints of the kernel since boot: BUG, Oops, WARNING, a task blocked. */
export async function kernelComplaints(guest: Guest): Promise<readonly string[]> {
  const text = await guest.run("dmesg | grep -E 'BUG|Oops|WARNING|Call Trace|blocked for more than' || true");
  return text.split('\n').filter((line) => line !== '');
}

function textOf(result: FileResult | undefined): string | null {
  return result?.ok === true && typeof result.value === 'string' ? result.value.trim() : null;
}

function nameOf(result: FileResult | undefined): string | null {
  return textOf(result)?.replace(/^.*\//, '') ?? null;
}

function listOf(result: FileResult | undefined): readonly string[] {
  return result?.ok === true && Array.isArray(result.value) ? (result.value as readonly string[]) : [];
}

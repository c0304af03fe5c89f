// The scan: reads every bus into an Inventory. What cannot change while a device's directory lives is read once and remembered; links
// are read every time. Given a clock it lets the event loop run every 8 ms. The result is what was seen while looking, not one
// instant: whoever acts on it looks again first.
import type { Inventory, IommuGroup, KernelFacts } from '../domain/device.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import { assembleDevices, type FoundDevice } from './assemble-devices.ts';
import { busDescriptions, readIdentity, toCount, type BusDescription, type Identity } from './buses.ts';
import type { HostPaths } from './host-paths.ts';
import { readSerialNumber } from './pci-serial-number.ts';
import { scanChildren, scanSlots } from './scan-children.ts';
import { createGroupReader, type ScannedGroup } from './scan-groups.ts';
import { createScanView, HostUnreadable, type ScanView } from './scan-view.ts';
import { sameStamp, type Stamp } from './sysfs.ts';

export interface ScanOptions {
  /** Also read PCIe device serial numbers: a policy selects by them. */
  readonly wantSerialNumbers: boolean;
  /** Addresses that are listed even where their bus is only looked at for members of IOMMU groups. */
  readonly alsoList?: ReadonlySet<string>;
}

export interface ScannerParts {
  readonly files: Files;
  readonly paths: HostPaths;
  /** Without it the scan runs through without a pause: for programs that do nothing else meanwhile. */
  readonly clock?: Clock;
  /** Kernel release of a dead copy; default: what /proc/sys/kernel/osrelease says. */
  readonly release?: string;
}

/** Scans, again and again. Scans may overlap. */
export interface Scanner {
  /**
   * Looks at everything. Rejects with `HostUnreadable` when a directory or link of a live host cannot be read, since devices,
   * drivers or groups would look absent; attributes that cannot be read are in `unread`. `guarded` is null in every device.
   */
  scan(options: ScanOptions): Promise<Inventory>;
}

// What is remembered of one device.
interface Known {
  readonly stamp: Stamp;
  readonly identity: Identity;
  /** False when something could not be read or the directory changed meanwhile: then it is read again next time. */
  readonly complete: boolean;
  /** Undefined until it was asked for and could be read. */
  serialNumber: string | null | undefined;
}

interface Seen {
  readonly description: BusDescription;
  readonly directory: string;
  readonly known: Known;
  readonly driver: string | null;
  /** Number that the `iommu_group` link names, also of a no-IOMMU group. */
  readonly groupNumber: number | null;
}

export function createScanner({ files, paths, clock, release }: ScannerParts): Scanner {
  let known: ReadonlyMap<string, Known> = new Map();
  const groupReader = createGroupReader();
  return {
    async scan(options) {
      const view = createScanView(files, paths, clock);
      if (!view.structure.exists(paths.buses)) reportNoBuses(view);
      let groups = await groupReader.read(view);
      const seen = await seeDevices(view, known, groups, options.alsoList);
      known = new Map([...seen].flatMap(([address, { known }]) => (known.complete ? [[address, known]] : [])));
      // A group that came up after we had listed them.
      const isNews = ({ groupNumber }: Seen) => groupNumber !== null && !groups.has(groupNumber);
      if ([...seen.values()].some(isNews)) groups = await groupReader.read(view);

      if (options.wantSerialNumbers) await readSerialNumbers(view, seen.values());
      const children = await scanChildren(view, (name) => seen.has(name));
      const found = new Map(
        [...seen].map(([address, device]) => [address, toFoundDevice(device, groups, options.wantSerialNumbers)]),
      );
      const devices = await assembleDevices(view, { found, children, slots: scanSlots(view) });
      const realGroups = withoutNoIommu(groups);
      const kernel = readKernelFacts(view, realGroups.size > 0, release);
      return { kernel, devices, groups: realGroups, unread: view.unread };
    },
  };
}

async function seeDevices(
  view: ScanView,
  known: ReadonlyMap<string, Known>,
  groups: ReadonlyMap<number, ScannedGroup>,
  alsoList: ReadonlySet<string> | undefined,
): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  for (const description of busDescriptions) {
    const wanted = wantedNames(description, groups, alsoList);
    for (const address of view.structure.listNames(view.paths.busDevices(description.bus)) ?? []) {
      if (wanted !== null && !wanted.has(address)) continue;
      await view.pause();
      const directory = view.paths.device(description.bus, address);
      const entry = readKnown(view, description, directory, known.get(address));
      if (entry === null) continue;
      const driver = view.structure.readLinkName(`${directory}/driver`);
      const groupNumber = toCount(view.structure.readLinkName(`${directory}/iommu_group`));
      seen.set(address, { description, directory, known: entry, driver, groupNumber });
    }
  }
  return seen;
}

// A kernel without a bus lacks that bus's directory only; without /sys/bus there is no sysfs.
function reportNoBuses({ paths, unread }: ScanView): void {
  if (paths.kind !== 'copy') throw new HostUnreadable(`${paths.buses} is not there: is the host's /sys mounted?`);
  unread.push({ source: paths.buses, why: 'absent: no device of this host can be seen' });
}

function wantedNames(
  { listed }: BusDescription,
  groups: ReadonlyMap<number, ScannedGroup>,
  alsoList: ReadonlySet<string> | undefined,
): ReadonlySet<string> | null {
  if (listed === 'All') return null;
  const names = new Set(alsoList);
  for (const { members } of groups.values()) for (const member of members) names.add(member);
  return names;
}

// Null when the device is gone.
function readKnown(
  view: ScanView,
  description: BusDescription,
  directory: string,
  before: Known | undefined,
): Known | null {
  const stamp = view.structure.readStamp(directory);
  if (stamp === null) return null;
  if (before !== undefined && sameStamp(before.stamp, stamp)) return before;
  const failures = view.unread.length;
  const identity = readIdentity(view, description, directory);
  const after = view.structure.readStamp(directory);
  if (after === null) return null;
  const complete = view.unread.length === failures && sameStamp(stamp, after);
  return { stamp, identity, complete, serialNumber: undefined };
}

async function readSerialNumbers({ files, sysfs, unread, pause }: ScanView, seen: Iterable<Seen>): Promise<void> {
  const failures = new Map<string, string[]>();
  for (const { description, directory, known } of seen) {
    // A VF has none of its own (SR-IOV specification 1.1, 3.7), and reading it would wake its PF as well.
    const none = !description.hasConfigSpace || known.identity.physicalFunction !== null;
    if (none || known.serialNumber !== undefined) continue;
    await pause();
    const answer = readSerialNumber(files, sysfs, directory);
    if (answer === null || typeof answer === 'string') known.serialNumber = answer;
    else failures.set(answer.why, (failures.get(answer.why) ?? []).concat(answer.source));
  }
  // Without the capability it is the same sentence for every device.
  for (const [why, [first, ...others]] of failures) {
    const source = others.length === 0 ? `${first}` : `${first} and ${others.length} more`;
    unread.push({ source, why });
  }
}

function toFoundDevice(
  { description, directory, known, driver, groupNumber }: Seen,
  groups: ReadonlyMap<number, ScannedGroup>,
  wantSerialNumbers: boolean,
): FoundDevice {
  const group = groupNumber === null ? undefined : groups.get(groupNumber);
  const iommuGroup = group === undefined || group.isNoIommu ? null : group.number;
  const serialNumber = (wantSerialNumbers ? known.serialNumber : null) ?? null;
  return { description, directory, identity: known.identity, serialNumber, driver, iommuGroup };
}

function withoutNoIommu(groups: ReadonlyMap<number, ScannedGroup>): Map<number, IommuGroup> {
  const real = new Map<number, IommuGroup>();
  for (const { number, members, directRegions, isNoIommu } of groups.values()) {
    if (!isNoIommu) real.set(number, { number, members, directRegions });
  }
  return real;
}

function readKernelFacts({ paths, sysfs, unread }: ScanView, iommu: boolean, release: string | undefined): KernelFacts {
  const told = release ?? sysfs.readAttribute(paths.kernelRelease);
  if (told === null) unread.push({ source: paths.kernelRelease, why: 'absent: the kernel release is unknown' });
  const noIommuMode = sysfs.readAttribute(paths.noIommuMode);
  return {
    release: told ?? '',
    bootId: paths.kind === 'copy' ? null : sysfs.readAttribute(paths.bootId),
    iommu,
    iommufd: sysfs.exists(paths.iommufd),
    noIommuMode: noIommuMode === 'Y' || noIommuMode === '1',
  };
}

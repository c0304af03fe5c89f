// IOMMU groups from /sys/kernel/iommu_groups. Members are read on every scan; what the firmware reserved is read again only when the
// group is another one or its members changed, as the kernel computes that list from them.
import type { IommuGroup } from '../domain/device.ts';
import { toCount } from './buses.ts';
import type { HostPaths } from './host-paths.ts';
import type { ScanView } from './scan-view.ts';
import { sameStamp, type Stamp, type Sysfs } from './sysfs.ts';

/** One entry of /sys/kernel/iommu_groups. */
export interface ScannedGroup extends IommuGroup {
  /**
   * True for the group that the vfio module makes up for a device without an IOMMU (vfio_noiommu_group_alloc names it
   * `vfio-noiommu`): it isolates nothing and counts as no group.
   */
  readonly isNoIommu: boolean;
}

interface Known {
  readonly stamp: Stamp;
  readonly group: ScannedGroup;
}

/** Reads groups, remembering what cannot have changed since the last call. */
export interface GroupReader {
  /** Every group now, by number. */
  read(view: ScanView): Promise<Map<number, ScannedGroup>>;
}

export function createGroupReader(): GroupReader {
  let known = new Map<number, Known>();
  return {
    async read({ paths, structure, sysfs, pause }) {
      const next = new Map<number, Known>();
      for (const name of structure.listNames(paths.iommuGroups) ?? []) {
        await pause();
        const number = toCount(name);
        const stamp = number === null ? null : structure.readStamp(paths.iommuGroup(name));
        if (number === null || stamp === null) continue;
        const members = structure.listNames(`${paths.iommuGroup(name)}/devices`);
        if (members === null) continue;
        const before = known.get(number);
        const unchanged =
          before !== undefined && sameStamp(before.stamp, stamp) && sameNames(before.group.members, members);
        next.set(number, unchanged ? before : { stamp, group: readGroup(sysfs, paths, number, members) });
      }
      known = next;
      return new Map([...next].map(([number, { group }]) => [number, group]));
    },
  };
}

function readGroup(sysfs: Sysfs, paths: HostPaths, number: number, members: readonly string[]): ScannedGroup {
  const directory = paths.iommuGroup(number);
  const regions = sysfs.readAttribute(`${directory}/reserved_regions`) ?? '';
  return {
    number,
    members,
    directRegions: regions.split('\n').flatMap((line) => (isDirect(line) ? [line.trim()] : [])),
    isNoIommu: sysfs.readAttribute(`${directory}/name`) === 'vfio-noiommu',
  };
}

// A line is `0xSTART 0xEND TYPE` (iommu_group_show_resv_regions). `direct-relaxable` may be given away, `direct` may not.
function isDirect(line: string): boolean {
  return line.trim().split(/\s+/)[2] === 'direct';
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, index) => name === b[index]);
}

// IOMMU groups: made with their first member, gone with their last, their numbers handed out again lowest first.
import { lowestFree, relativeLink } from './machine.ts';
import type { Machine, SimDevice, SimGroup } from './machine.ts';

const base = '/sys/kernel/iommu_groups';

/** The label of the group a device belongs to; null: it has none. */
export function groupLabel(machine: Machine, device: SimDevice): string | null {
  if (machine.spec.iommu === false) return null;
  if (device.spec.group === null) return null;
  if (device.physicalFunction !== null) {
    const parent = device.physicalFunction;
    const shared = 'sriov' in parent.spec && parent.spec.sriov?.vfGroups === 'shared';
    return shared ? (parent.group?.label ?? null) : `vf ${device.address}`;
  }
  if (device.bus !== 'pci' && device.spec.group === undefined) return null;
  return device.spec.group ?? `own ${device.address}`;
}

/** Puts a new device into its group, making the group when it is the first. */
export function joinGroup(machine: Machine, device: SimDevice, label: string, noIommu = false): SimGroup {
  let group = [...machine.groups.values()].find((other) => other.label === label);
  if (group === undefined) {
    group = {
      number: lowestFree(machine.groups.keys()),
      label,
      members: new Set(),
      noIommu,
      minor: null,
      openFiles: 0,
      owned: false,
    };
    machine.groups.set(group.number, group);
    machine.files.put(`${base}/${group.number}`, {
      directory: {
        devices: { directory: {} },
        ...(noIommu
          ? { name: 'vfio-noiommu\n' }
          : { type: 'DMA-FQ\n', reserved_regions: reservedRegions(device.spec) }),
      },
    });
  } else if ('reservedRegions' in device.spec && device.spec.reservedRegions !== undefined) {
    machine.files.put(`${base}/${group.number}/reserved_regions`, reservedRegions(device.spec));
  }
  group.members.add(device);
  device.group = group;
  const link = `${base}/${group.number}/devices/${device.address}`;
  machine.files.put(link, relativeLink(link, device.path));
  machine.files.put(
    `${device.path}/iommu_group`,
    relativeLink(`${device.path}/iommu_group`, `${base}/${group.number}`),
  );
  return group;
}

/** Takes a device out of its group; the last one takes the group along. */
export function leaveGroup(machine: Machine, device: SimDevice): void {
  const { group } = device;
  if (group === null) return;
  group.members.delete(device);
  device.group = null;
  machine.files.drop(`${base}/${group.number}/devices/${device.address}`);
  machine.files.drop(`${device.path}/iommu_group`);
  if (group.members.size > 0) return;
  machine.groups.delete(group.number);
  machine.files.drop(`${base}/${group.number}`);
}

/** Usable by VFIO: no member is on a driver that uses the kernel's own DMA mappings. */
export function isViable(machine: Machine, group: SimGroup): boolean {
  return [...group.members].every(({ driver, spec }) => {
    if (driver === null || driver.managesDma) return true;
    return !machine.quirks.dmaOwnership && 'secondaryBus' in spec && spec.secondaryBus !== undefined;
  });
}

function reservedRegions(spec: SimDevice['spec']): string {
  const own = 'reservedRegions' in spec ? (spec.reservedRegions ?? []) : [];
  return [...own, '0x00000000fee00000 0x00000000feefffff msi'].map((line) => `${line}\n`).join('');
}

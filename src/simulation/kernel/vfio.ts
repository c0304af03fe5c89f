// VFIO: what its drivers do at probe and remove, the nodes they make, and who has them open. The remove of a device in use waits
// for its users without end, as in Linux drivers/vfio/vfio_main.c vfio_unregister_group_dev.
import { FileError } from '../../runtime/ports.ts';
import { isViable, joinGroup, leaveGroup } from './iommu-groups.ts';
import { lowestFree, relativeLink } from './machine.ts';
import type { Errno, Machine, SimDevice, SimGroup, SimProcess } from './machine.ts';
import { addFd, closeFd } from './processes.ts';
import type { Thread } from './scheduler.ts';

const groupMajor = 243;
const deviceMajor = 511;
const classPath = '/sys/devices/virtual/vfio';

/** Probe of any VFIO driver. */
export function probeVfio(machine: Machine, device: SimDevice): Errno {
  if ('secondaryBus' in device.spec && device.spec.secondaryBus !== undefined) return 'EINVAL';
  if (device.virtualFunctions.length > 0) return 'EBUSY';
  if (device.group === null) {
    if (!noIommuMode(machine)) return 'EINVAL';
    joinGroup(machine, device, `vfio-noiommu ${device.address}`, true);
  }
  device.vfioNumber = lowestFree([...machine.devices.values()].flatMap(({ vfioNumber }) => vfioNumber ?? []));
  if (device.group !== null) showGroupNode(machine, device.group);
  showDevice(machine, device);
  return null;
}

/** Remove of any VFIO driver: asks the users to let go, and waits until they have. */
export function* removeVfio(machine: Machine, device: SimDevice): Thread<void> {
  if (machine.quirks.vfioDevGoesFirst) hideDevice(machine, device);
  if (device.users > 0) {
    machine.log.push(`vfio ${device.address}: No device request channel registered, blocked until released by user`);
    requestRelease(machine, device);
    yield () => device.users === 0;
  }
  hideDevice(machine, device);
  device.vfioNumber = null;
  const { group } = device;
  if (group === null) return;
  if (!hasVfioMember(group) && !(machine.quirks.openGroupStays && group.openFiles > 0)) hideGroupNode(machine, group);
  if (group.noIommu) leaveGroup(machine, device);
}

/** The path of a group's node. */
const groupNode = (group: SimGroup): string => `/dev/vfio/${group.noIommu ? 'noiommu-' : ''}${group.number}`;

/** The path of a bound device's cdev. */
const cdevNode = (device: SimDevice): string =>
  `/dev/vfio/devices/${device.group?.noIommu === true ? 'noiommu-' : ''}vfio${device.vfioNumber ?? ''}`;

/**
 * Opens the group node of a device and attaches it to a container; returns an errno name, or what closes it again. With
 * `devices`, their device files are opened through it.
 */
export function openByGroup(
  machine: Machine,
  process: SimProcess,
  group: SimGroup,
  devices: readonly SimDevice[],
): string | readonly number[] {
  const node = machine.files.find(groupNode(group));
  if (node === null) return 'ENOENT';
  if (group.openFiles > 0) return 'EBUSY';
  if (devices.length > 0 && !isViable(machine, group)) return machine.quirks.notViable;
  if (devices.some((device) => device.vfioNumber === null || device.group !== group)) return 'ENODEV';
  group.openFiles += 1;
  const attached = devices.length > 0;
  if (attached) group.owned = true;
  if (attached) openContainer(machine, process);
  const fds = [
    addFd(machine, process, { text: groupNode(group), node, device: null, close: () => closeGroup(machine, group) }),
  ];
  for (const device of devices) {
    group.openFiles += 1;
    fds.push(openDeviceFile(machine, process, device, group));
  }
  return fds;
}

/** Opens a device's cdev; `bound` to an iommufd it owns the group's DMA, unbound it only keeps the device from being released. */
export function openByCdev(
  machine: Machine,
  process: SimProcess,
  device: SimDevice,
  bound: boolean,
): string | readonly number[] {
  const node = machine.files.find(cdevNode(device));
  const { group } = device;
  if (device.vfioNumber === null || node === null || group === null) return 'ENOENT';
  if (bound && group.openFiles > 0 && !group.owned) return 'EBUSY';
  if (bound && !isViable(machine, group)) return machine.quirks.notViable;
  device.users += 1;
  if (bound) {
    group.openFiles += 1;
    group.owned = true;
  }
  const close = (): void => {
    device.users -= 1;
    if (bound) closeGroup(machine, group);
  };
  return [addFd(machine, process, { text: cdevNode(device), node, device, close })];
}

function openContainer(machine: Machine, process: SimProcess): void {
  const text = '/dev/vfio/vfio';
  addFd(machine, process, { text, node: machine.files.find(text), device: null, close: () => {} });
}

function openDeviceFile(machine: Machine, process: SimProcess, device: SimDevice, group: SimGroup): number {
  device.users += 1;
  const close = (): void => {
    device.users -= 1;
    closeGroup(machine, group);
  };
  return addFd(machine, process, { text: 'anon_inode:[vfio-device]', node: null, device, close });
}

function closeGroup(machine: Machine, group: SimGroup): void {
  group.openFiles -= 1;
  if (group.openFiles > 0) return;
  group.owned = false;
  machine.openMinors.delete(group);
  if (!hasVfioMember(group)) hideGroupNode(machine, group);
}

const hasVfioMember = (group: SimGroup): boolean => [...group.members].some(({ vfioNumber }) => vfioNumber !== null);

function requestRelease(machine: Machine, device: SimDevice): void {
  for (const process of machine.processes.values()) {
    const after = process.letsGoAfter;
    if (after === null) continue;
    machine.clock.after(after, () => {
      for (const [number, fd] of process.fds) {
        if (fd.device !== device) continue;
        closeFd(machine, process, number);
      }
      machine.scheduler.poll();
    });
  }
}

function showGroupNode(machine: Machine, group: SimGroup): void {
  if (group.minor !== null) return;
  const shown = [...machine.groups.values()].flatMap((other) => other.minor ?? []);
  const minor = lowestFree([...shown, ...[...machine.openMinors.values()].flat()]);
  group.minor = minor;
  const number = `${groupMajor}:${minor}`;
  const name = groupNode(group).slice('/dev/vfio/'.length);
  machine.files.put(groupNode(group), { node: 'char', number, content: () => openGroupForReading(group) });
  machine.files.put(`${classPath}/${name}`, { directory: { dev: `${number}\n` } });
  machine.files.put(`/sys/dev/char/${number}`, relativeLink(`/sys/dev/char/${number}`, `${classPath}/${name}`));
  machine.files.put(`/sys/class/vfio/${name}`, relativeLink(`/sys/class/vfio/${name}`, `${classPath}/${name}`));
}

/** A read of the node itself: open refuses a second user, and a group has nothing to read. */
function openGroupForReading(group: SimGroup): { readonly errno: string } {
  return { errno: group.openFiles > 0 ? 'EBUSY' : 'EINVAL' };
}

function hideGroupNode(machine: Machine, group: SimGroup): void {
  if (group.minor === null) return;
  machine.files.drop(`/sys/dev/char/${groupMajor}:${group.minor}`);
  // An open file keeps the character device, and with it the minor: chrdev_open in fs/char_dev.c takes a reference on its parent.
  if (group.openFiles > 0) machine.openMinors.set(group, [...(machine.openMinors.get(group) ?? []), group.minor]);
  group.minor = null;
  const name = groupNode(group).slice('/dev/vfio/'.length);
  machine.files.drop(groupNode(group));
  machine.files.drop(`/sys/class/vfio/${name}`);
  machine.files.drop(`${classPath}/${name}`);
}

function showDevice(machine: Machine, device: SimDevice): void {
  if (!machine.quirks.vfioDev) return;
  const name = cdevNode(device).slice('/dev/vfio/devices/'.length);
  const number = `${deviceMajor}:${device.vfioNumber ?? 0}`;
  const directory = `${device.path}/vfio-dev/${name}`;
  machine.files.put(directory, { directory: machine.quirks.cdev ? { dev: `${number}\n` } : {} });
  machine.files.put(`/sys/class/vfio-dev/${name}`, relativeLink(`/sys/class/vfio-dev/${name}`, directory));
  if (!machine.quirks.cdev) return;
  machine.files.put(cdevNode(device), { node: 'char', number });
  machine.files.put(`/sys/dev/char/${number}`, relativeLink(`/sys/dev/char/${number}`, directory));
}

function hideDevice(machine: Machine, device: SimDevice): void {
  if (device.vfioNumber === null) return;
  const name = cdevNode(device).slice('/dev/vfio/devices/'.length);
  machine.files.drop(`${device.path}/vfio-dev`);
  machine.files.drop(`/sys/class/vfio-dev/${name}`);
  machine.files.drop(cdevNode(device));
  machine.files.drop(`/sys/dev/char/${deviceMajor}:${device.vfioNumber}`);
}

function noIommuMode(machine: Machine): boolean {
  try {
    return machine.files.readText('/sys/module/vfio/parameters/enable_unsafe_noiommu_mode').startsWith('Y');
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}

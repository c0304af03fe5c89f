// Devices come and go: at boot, by hotplug, as VFs, by `remove` and `rescan`. A device that comes is offered to the drivers there
// are before user space hears of it; one that goes waits for whoever has it open.
import { deviceDirectory } from './device-attributes.ts';
import { attach, busPath, releaseDriver } from './driver-core.ts';
import { groupLabel, joinGroup, leaveGroup } from './iommu-groups.ts';
import { relativeLink } from './machine.ts';
import type { Machine, SimDevice } from './machine.ts';
import { createLock, locked } from './scheduler.ts';
import type { Thread } from './scheduler.ts';
import { isPci } from './spec.ts';
import type { DeviceSpec, PciSpec } from './spec.ts';
import { removeVirtualFunctions } from './sriov.ts';

/** Makes the kernel know a device, offers it to the drivers, and lets udev load what its modalias asks for. */
export function* addDevice(machine: Machine, spec: DeviceSpec, pf: SimDevice | null = null): Thread<void> {
  if (machine.devices.has(spec.address)) return;
  const parent = 'parent' in spec && spec.parent !== undefined ? (machine.devices.get(spec.parent) ?? null) : null;
  const device: SimDevice = {
    spec,
    bus: spec.bus ?? 'pci',
    address: spec.address,
    modalias: modaliasOf(spec),
    path: `${pathAbove(spec, parent)}/${spec.address}`,
    parent,
    physicalFunction: pf,
    lock: createLock(),
    override: null,
    driver: null,
    group: null,
    vfioNumber: null,
    users: 0,
    virtualFunctions: [],
    sriovAutoprobe: true,
    removed: false,
    shown: [],
  };
  machine.devices.set(device.address, device);
  showDevice(machine, device);
  const label = groupLabel(machine, device);
  if (label !== null) joinGroup(machine, device, label);
  machine.events += 1;
  if (machine.autoprobe.get(device.bus) !== false) yield* attach(machine, device);
  if (machine.spec.udev !== false) yield* machine.parts.loadForAlias(device.modalias);
}

/** Makes VF number `index` of a PF. */
export function* addVirtualFunction(machine: Machine, pf: SimDevice, index: number): Thread<void> {
  if (!('sriov' in pf.spec) || pf.spec.sriov === undefined) return;
  const { sriov } = pf.spec;
  const address = virtualFunctionAddress(pf.address, sriov.offset + sriov.stride * index);
  const { children: _, sriov: __, slot: ___, serialNumber: ____, acpiIndex: _____, ...same } = pf.spec;
  const spec: PciSpec = {
    ...same,
    address,
    device: sriov.vfDevice,
    ...(sriov.vfInterfaces === undefined ? {} : { children: [{ kind: 'net', name: `${sriov.vfInterfaces}${index}` }] }),
  };
  const link = `${pf.path}/virtfn${index}`;
  const path = `${pathAbove(spec, pf.parent)}/${address}`;
  yield* addDevice(machine, spec, pf);
  const device = machine.devices.get(address);
  if (device?.physicalFunction === pf) pf.virtualFunctions.push(device);
  machine.files.put(link, relativeLink(link, path));
}

/** Takes a device away, with what lies behind it. Its directory stays until its driver has let go. */
export function* removeDevice(machine: Machine, device: SimDevice): Thread<void> {
  if (device.removed) return;
  const known = [...machine.devices.values()];
  for (const child of known) {
    if (child.parent === device && child.physicalFunction === null) yield* removeDevice(machine, child);
  }
  yield* locked(device.lock, () => releaseDriver(machine, device));
  if (device.virtualFunctions.length > 0) yield* removeVirtualFunctions(machine, device);
  device.removed = true;
  hideDevice(machine, device);
  leaveGroup(machine, device);
  machine.devices.delete(device.address);
  machine.events += 1;
}

/** Finds again what is plugged in and not known. */
export function* rescanBuses(machine: Machine): Thread<void> {
  for (const spec of machine.plugged.values()) yield* addDevice(machine, spec);
}

/** The match string the bus makes of a device's ids. */
function modaliasOf(spec: DeviceSpec): string {
  if (!isPci(spec)) return spec.modalias;
  const long = (id: string): string => id.toUpperCase().padStart(8, '0');
  const byte = (index: number): string => spec.class.slice(index * 2, index * 2 + 2).toUpperCase();
  const ids = `v${long(spec.vendor)}d${long(spec.device)}`;
  const subsystem = `sv${long(spec.subsystemVendor ?? '0')}sd${long(spec.subsystemDevice ?? '0')}`;
  return `pci:${ids}${subsystem}bc${byte(0)}sc${byte(1)}i${byte(2)}`;
}

function pathAbove(spec: DeviceSpec, parent: SimDevice | null): string {
  if (!isPci(spec)) {
    return spec.bus === 'platform' ? '/sys/devices/platform' : `/sys/devices/platform/${spec.bus}`;
  }
  return parent?.path ?? `/sys/devices/pci${spec.address.slice(0, 7)}`;
}

function virtualFunctionAddress(address: string, distance: number): string {
  const [domain = '0000', bus = '0', rest = '0.0'] = address.split(':');
  const [slot = '0', fn = '0'] = rest.split('.');
  const id = Number.parseInt(bus, 16) * 256 + Number.parseInt(slot, 16) * 8 + Number(fn) + distance;
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${domain}:${hex(id >> 8)}:${hex((id >> 3) & 0x1f)}.${id & 7}`;
}

function showDevice(machine: Machine, device: SimDevice): void {
  const { path, address, bus, spec } = device;
  const link = (from: string, to: string): void => machine.files.put(from, relativeLink(from, to));
  machine.files.put(path, { directory: deviceDirectory(machine, device) });
  link(`${path}/subsystem`, busPath(bus));
  link(`${busPath(bus)}/devices/${address}`, path);
  if (groupLabel(machine, device) !== null) link(`${path}/iommu`, '/sys/devices/virtual/iommu/dmar0');
  if (device.physicalFunction !== null) link(`${path}/physfn`, device.physicalFunction.path);
  if ('slot' in spec && spec.slot !== undefined) {
    machine.files.put(`/sys/bus/pci/slots/${spec.slot}`, { directory: { address: `${address.slice(0, -2)}\n` } });
  }
}

function hideDevice(machine: Machine, device: SimDevice): void {
  machine.files.drop(`${busPath(device.bus)}/devices/${device.address}`);
  machine.files.drop(device.path);
  if ('slot' in device.spec && device.spec.slot !== undefined && !machine.plugged.has(device.address)) {
    machine.files.put(`/sys/bus/pci/slots/${device.spec.slot}/address`, `${device.address.slice(0, -2)}\n`);
  }
}

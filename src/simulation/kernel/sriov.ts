// SR-IOV: a write to sriov_numvfs makes or removes VFs, under the PF's lock, as in Linux drivers/pci/iov.c. Not always as many
// as were asked for appear, and removing waits for every VF that is open.
import { parseNumber } from './attribute.ts';
import type { Errno, Machine, SimDevice } from './machine.ts';
import { locked } from './scheduler.ts';
import type { Thread } from './scheduler.ts';

/** `sriov_numvfs`. */
export function* setVirtualFunctions(machine: Machine, device: SimDevice, text: string): Thread<Errno> {
  const wanted = parseNumber(text);
  if (wanted === null) return 'EINVAL';
  if (wanted > 0xffff) return machine.quirks.sriovOverflow;
  const sriov = 'sriov' in device.spec ? device.spec.sriov : undefined;
  if (sriov === undefined || wanted > sriov.total) return 'ERANGE';
  return yield* locked(device.lock, function* () {
    if (wanted === device.virtualFunctions.length) return null;
    if (device.driver === null || device.driver.spec.sriov !== true) return 'ENOENT';
    if (wanted > 0 && device.virtualFunctions.length > 0) return 'EBUSY';
    const change = (): Thread<Errno> =>
      wanted === 0 ? removeVirtualFunctions(machine, device) : makeVirtualFunctions(machine, device, wanted);
    return yield* machine.quirks.sriovTakesRescanLock ? locked(machine.rescanLock, change) : change();
  });
}

/** Removes all VFs, last first. */
export function* removeVirtualFunctions(machine: Machine, device: SimDevice): Thread<Errno> {
  for (const virtualFunction of [...device.virtualFunctions].reverse()) {
    machine.files.drop(`${device.path}/virtfn${device.virtualFunctions.length - 1}`);
    yield* machine.parts.removeDevice(virtualFunction);
    device.virtualFunctions = device.virtualFunctions.filter((other) => other !== virtualFunction);
  }
  return null;
}

function* makeVirtualFunctions(machine: Machine, device: SimDevice, wanted: number): Thread<Errno> {
  const sriov = 'sriov' in device.spec ? device.spec.sriov : undefined;
  const fault = machine.virtualFunctionFaults.get(device.address) ?? null;
  const made = Math.min(wanted, sriov?.makes ?? wanted, fault?.made ?? wanted);
  for (let index = 0; index < made; index += 1) yield* machine.parts.addVirtualFunction(device, index);
  if (made < wanted) machine.log.push(`pci ${device.address}: ${wanted} VFs requested; only ${made} enabled`);
  if (made === wanted || fault === null || fault.errno === null) return null;
  // sriov_add_vfs() takes back what it made.
  yield* removeVirtualFunctions(machine, device);
  return fault.errno;
}

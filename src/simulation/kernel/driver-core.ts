// The driver core: which driver may have a device, probing, binding and unbinding, with the errnos that user space gets to see.
// As in Linux drivers/base/dd.c and drivers/pci/pci-driver.c.
import { commandText } from './attribute.ts';
import { matchesGlob } from './glob.ts';
import { relativeLink } from './machine.ts';
import type { Errno, Machine, ProbeFault, SimDevice, SimDriver } from './machine.ts';
import { locked } from './scheduler.ts';
import type { Thread } from './scheduler.ts';

/** How a probe ended. `refused`: before the driver itself was asked. */
type ProbeResult = { readonly errno: Errno; readonly refused: boolean };

/** Where a bus keeps its devices and drivers. */
export const busPath = (bus: string): string => `/sys/bus/${bus}`;

/** With an override set, only that driver matches, and it matches whatever the device is. */
function driverMatches(driver: SimDriver, device: SimDevice): boolean {
  if (driver.bus !== device.bus) return false;
  if (device.override !== null) return device.override === driver.name;
  return driver.ids.some((pattern) => matchesGlob(pattern, device.modalias));
}

/** `DRIVER/bind`. */
export function* bind(machine: Machine, driver: SimDriver, text: string): Thread<Errno> {
  const device = findDevice(machine, driver.bus, text);
  if (device === null || !driverMatches(driver, device)) return 'ENODEV';
  if (!machine.quirks.bindTellsErrno && device.driver !== null) return 'ENODEV';
  return yield* locked(device.lock, function* () {
    const { errno } = yield* probe(machine, driver, device);
    if (!machine.quirks.bindTellsErrno && errno !== null) return 'ENODEV';
    return errno === 'EPROBE_DEFER' ? 'EAGAIN' : errno;
  });
}

/** `DRIVER/unbind`. Never refuses because of use; the driver's remove may sleep. */
export function* unbind(machine: Machine, driver: SimDriver, text: string): Thread<Errno> {
  const device = findDevice(machine, driver.bus, text);
  if (device === null || device.driver !== driver) return 'ENODEV';
  yield* locked(device.lock, function* () {
    if (device.driver === driver) yield* releaseDriver(machine, device);
  });
  return null;
}

/** `drivers_probe`. Mute: a failing probe is success; only what stops the search before a driver is asked is an error. */
export function* driversProbe(machine: Machine, bus: string, text: string): Thread<Errno> {
  const device = findDevice(machine, bus, text);
  if (device === null) return 'ENODEV';
  if (device.driver !== null) return null;
  const refused = yield* attach(machine, device);
  return refused ? 'EINVAL' : null;
}

/** Looks for a driver among all that are registered; says whether the search was refused. */
export function* attach(machine: Machine, device: SimDevice): Thread<boolean> {
  return yield* locked(device.lock, function* () {
    if (device.driver !== null || device.removed) return false;
    for (const driver of machine.drivers.values()) {
      if (!driverMatches(driver, device)) continue;
      const { errno, refused } = yield* probe(machine, driver, device);
      if (errno === null) return false;
      if (refused) return true;
    }
    return false;
  });
}

/** A newly registered driver takes what is unbound and matches, while the bus's drivers_autoprobe is on. */
export function* attachAll(machine: Machine, driver: SimDriver): Thread<void> {
  if (machine.autoprobe.get(driver.bus) === false) return;
  const known = [...machine.devices.values()];
  for (const device of known) {
    if (device.removed || !driverMatches(driver, device)) continue;
    yield* locked(device.lock, function* () {
      if (device.driver === null && !device.removed) yield* probe(machine, driver, device);
    });
  }
}

/** Unbinds under the device's lock. The `driver` link goes first, `dev->driver` last. */
export function* releaseDriver(machine: Machine, device: SimDevice): Thread<void> {
  const { driver } = device;
  if (driver === null) return;
  hideDriver(machine, device, driver);
  yield* driver.remove(device);
  device.driver = null;
  machine.events += 1;
}

function* probe(machine: Machine, driver: SimDriver, device: SimDevice): Thread<ProbeResult> {
  if (device.removed) return { errno: 'ENODEV', refused: true };
  if (device.driver !== null) return { errno: 'EBUSY', refused: true };
  const group = device.group;
  if (machine.quirks.dmaOwnership && !driver.managesDma && group?.owned === true) {
    return { errno: 'EBUSY', refused: true };
  }
  device.driver = driver;
  showDriver(machine, device, driver);
  const errno = vetoed(device) ? 'ENODEV' : yield* faultyProbe(machine, driver, device);
  if (errno !== null || faultOf(machine, driver, device) === 'lie') {
    hideDriver(machine, device, driver);
    device.driver = null;
    if (errno !== null && errno !== 'ENODEV') {
      machine.log.push(`${driver.name} ${device.address}: probe with driver ${driver.name} failed with error ${errno}`);
    }
    return { errno, refused: false };
  }
  if (!machine.quirks.dmaOwnership && !driver.managesDma && group?.owned === true) {
    machine.damage.push({
      kind: 'KernelBug',
      message: `${driver.name} was bound to ${device.address} while IOMMU group ${group.number} was open: kernel BUG`,
    });
    yield () => false;
  }
  machine.events += 1;
  return { errno: null, refused: false };
}

function* faultyProbe(machine: Machine, driver: SimDriver, device: SimDevice): Thread<Errno> {
  const fault = faultOf(machine, driver, device);
  if (fault === 'hang') yield () => faultOf(machine, driver, device) !== 'hang';
  if (typeof fault === 'object') return fault.errno;
  if (fault === 'lie') return null;
  return yield* driver.probe(device);
}

/** A fault is set for one driver on a device, or for whatever driver probes it. */
function faultOf(machine: Machine, driver: SimDriver, device: SimDevice): ProbeFault | undefined {
  return machine.probeFaults.get(`${driver.name} ${device.address}`) ?? machine.probeFaults.get(`* ${device.address}`);
}

/** pci_device_can_probe: VFs of a PF with sriov_drivers_autoprobe off take only the driver their override names. */
function vetoed(device: SimDevice): boolean {
  return device.physicalFunction?.sriovAutoprobe === false && device.override === null;
}

/** Devices are named in full, in lower case; one trailing newline does not count. */
function findDevice(machine: Machine, bus: string, text: string): SimDevice | null {
  const device = machine.devices.get(commandText(text));
  return device !== undefined && device.bus === bus && !device.removed ? device : null;
}

function showDriver(machine: Machine, device: SimDevice, driver: SimDriver): void {
  const directory = `${busPath(driver.bus)}/drivers/${driver.name}`;
  machine.files.put(`${device.path}/driver`, relativeLink(`${device.path}/driver`, directory));
  machine.files.put(`${directory}/${device.address}`, relativeLink(`${directory}/${device.address}`, device.path));
}

function hideDriver(machine: Machine, device: SimDevice, driver: SimDriver): void {
  machine.files.drop(`${device.path}/driver`);
  machine.files.drop(`${busPath(driver.bus)}/drivers/${driver.name}/${device.address}`);
}

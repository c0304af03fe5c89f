// Where a transaction starts and where it leads, device by device, and the steps from what the kernel shows now back to the start.
// Going by states instead of replaying inverses, an undo is right from every point at which a transaction can stop, also when
// nobody knows whether the last write took effect.
import type { Bus } from './device.ts';
import type { Step, Transaction } from './step.ts';

/** Values of what a transaction touches of one device; a key that is absent is not touched (or, of a plan, not promised). */
export interface DeviceState {
  readonly driver?: string | null;
  readonly override?: string | null;
  readonly virtualFunctions?: number;
  readonly autoprobe?: boolean;
}

/** One device of a transaction. */
export interface TouchedDevice {
  readonly bus: Bus;
  readonly address: string;
  readonly initial: DeviceState;
  /** null while a driver's name is not resolved: then the planned state cannot have been reached. */
  readonly planned: DeviceState | null;
  /** Drivers and overrides that our steps can leave behind; any other value is somebody else's work. */
  readonly ours: { readonly drivers: ReadonlySet<string | null>; readonly overrides: ReadonlySet<string | null> };
  /** A probe let the kernel choose: whatever driver it has now came by us. */
  readonly probed: boolean;
}

/** What the kernel shows of a device now. Attributes that were not asked for are null. */
export interface ObservedDevice {
  readonly bus: Bus;
  readonly address: string;
  readonly modalias: string | null;
  readonly iommuGroup: number | null;
  readonly driver: string | null;
  readonly override: string | null;
  readonly virtualFunctions: number | null;
  readonly autoprobe: boolean | null;
}

/**
 * The devices that `steps` touch, in the order in which they are first touched. `steps` are those of the transaction, or, to undo
 * a part, the ones that were begun; names that were resolved meanwhile filled in.
 */
export function toTouchedDevices(transaction: Transaction, steps: readonly Step[]): readonly TouchedDevice[] {
  const devices = new Map<string, MutableTouched>();
  const drivers = new Map(transaction.members.map((member) => [member.identity.address, member.identity.driver]));
  for (const step of steps) {
    if (step.kind === 'LoadModule') continue;
    let device = devices.get(step.address);
    if (device === undefined) {
      device = newTouched('bus' in step ? step.bus : 'pci', step.address);
      devices.set(step.address, device);
    }
    touch(device, step, drivers.get(step.address) ?? null);
  }
  return [...devices.values()].map(({ unresolved, ...device }) => ({
    ...device,
    planned: unresolved ? null : device.planned,
  }));
}

/** Whether every value of `state` is what the kernel shows. */
export function isIn(state: DeviceState, observed: ObservedDevice): boolean {
  return (
    (state.driver === undefined || state.driver === observed.driver) &&
    (state.override === undefined || state.override === observed.override) &&
    (state.virtualFunctions === undefined || state.virtualFunctions === observed.virtualFunctions) &&
    (state.autoprobe === undefined || state.autoprobe === observed.autoprobe)
  );
}

/** What the kernel shows that none of our steps can have left; null when all is explained. */
export function describeForeign(device: TouchedDevice, observed: ObservedDevice): string | null {
  if (device.initial.driver !== undefined && !device.probed && !device.ours.drivers.has(observed.driver)) {
    return `${device.address} has driver ${observed.driver ?? 'none'}, which this transaction did not bind`;
  }
  if (device.initial.override !== undefined && !device.ours.overrides.has(observed.override)) {
    return `${device.address} has driver_override ${observed.override ?? 'none'}, which this transaction did not set`;
  }
  return null;
}

/** Those of a release's own `steps` that the device still needs, as the kernel shows it; the others have been done. */
export function releaseStepsLeft(steps: readonly Step[], observed: ObservedDevice): readonly Step[] {
  let { driver, override } = observed;
  return steps.filter((step) => {
    if (!('address' in step) || step.address !== observed.address) return false;
    switch (step.kind) {
      case 'SetOverride': {
        const to = step.driver?.name ?? null;
        if (to === override) return false;
        override = to;
        return true;
      }
      case 'Unbind':
        if (driver !== step.driver) return false;
        driver = null;
        return true;
      default:
        return step.kind === 'Probe' && driver === null;
    }
  });
}

/**
 * The steps from `observed` to `goal`, empty when it is reached. The override comes first: with it set, the kernel lets no other
 * driver bind, and once it is right nobody else can take the device between unbind and bind.
 */
export function stepsTowards(goal: DeviceState, observed: ObservedDevice): readonly Step[] {
  const { address } = observed;
  const steps: Step[] = [];
  if (goal.virtualFunctions !== undefined && goal.virtualFunctions !== observed.virtualFunctions) {
    steps.push({
      kind: 'SetVirtualFunctions',
      address,
      count: goal.virtualFunctions,
      previous: observed.virtualFunctions ?? 0,
    });
  }
  if (goal.autoprobe !== undefined && goal.autoprobe !== observed.autoprobe) {
    steps.push({
      kind: 'SetAutoprobe',
      address,
      value: goal.autoprobe,
      previous: observed.autoprobe ?? !goal.autoprobe,
    });
  }
  return [...steps, ...driverSteps(goal, observed)];
}

/**
 * An override lets no other driver bind. Where the goal has both a driver and another override (set on a bound device, which the
 * kernel allows), it is set to the driver for the bind, and to what it shall be afterwards.
 */
function driverSteps(goal: DeviceState, observed: ObservedDevice): readonly Step[] {
  const { bus, address } = observed;
  const steps: Step[] = [];
  let override = observed.override;
  const setOverride = (to: string | null): void => {
    if (to === override) return;
    const driver = to === null ? null : { module: null, name: to };
    steps.push({ kind: 'SetOverride', bus, address, driver, previous: override });
    override = to;
  };
  const wanted = goal.override === undefined ? observed.override : goal.override;
  const driver = goal.driver === undefined ? observed.driver : goal.driver;
  const binds = driver !== null && driver !== observed.driver;
  setOverride(binds && wanted !== null ? driver : wanted);
  if (observed.driver !== null && observed.driver !== driver) {
    steps.push({ kind: 'Unbind', bus, address, driver: observed.driver });
  }
  if (binds) steps.push({ kind: 'Bind', bus, address, driver: { module: null, name: driver } });
  setOverride(wanted);
  return steps;
}

interface MutableTouched {
  readonly bus: Bus;
  readonly address: string;
  initial: DeviceState;
  planned: DeviceState;
  ours: { drivers: Set<string | null>; overrides: Set<string | null> };
  probed: boolean;
  unresolved: boolean;
}

function newTouched(bus: Bus, address: string): MutableTouched {
  const ours = { drivers: new Set<string | null>(), overrides: new Set<string | null>() };
  return { bus, address, initial: {}, planned: {}, ours, probed: false, unresolved: false };
}

function touch(
  device: MutableTouched,
  step: Exclude<Step, { kind: 'LoadModule' }>,
  driverAtStart: string | null,
): void {
  switch (step.kind) {
    case 'SetOverride': {
      const name = step.driver === null ? null : step.driver.name;
      if (step.driver !== null && name === null) device.unresolved = true;
      device.initial = { override: step.previous, ...device.initial };
      device.planned = { ...device.planned, override: name };
      device.ours.overrides.add(step.previous).add(name).add(driverAtStart);
      return;
    }
    case 'Unbind':
      setDriver(device, driverAtStart, null);
      device.ours.drivers.add(step.driver);
      return;
    case 'Bind':
      if (step.driver.name === null) device.unresolved = true;
      setDriver(device, driverAtStart, step.driver.name);
      return;
    case 'Probe': {
      setDriver(device, driverAtStart, step.expect);
      device.probed = true;
      if (step.expect === null) {
        const { driver: _any, ...promised } = device.planned;
        device.planned = promised;
      }
      return;
    }
    case 'SetAutoprobe':
      device.initial = { autoprobe: step.previous, ...device.initial };
      device.planned = { ...device.planned, autoprobe: step.value };
      return;
    case 'SetVirtualFunctions':
      device.initial = { virtualFunctions: step.previous, ...device.initial };
      device.planned = { ...device.planned, virtualFunctions: step.count };
      return;
  }
}

function setDriver(device: MutableTouched, driverAtStart: string | null, driver: string | null): void {
  device.initial = { driver: driverAtStart, ...device.initial };
  device.planned = { ...device.planned, driver };
  device.ours.drivers.add(driverAtStart).add(driver).add(null);
}

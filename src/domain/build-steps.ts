// The steps of a transaction, in the order that leaves no window: module, then for each device the override before the unbind, so
// that no other driver can take the device in between, then the driver's own bind file, which alone returns the errno.
import type { Device } from './device.ts';
import type { ModuleCatalog } from './driver-choice.ts';
import { foreignClaim } from './foreign-claim.ts';
import type { LedgerEntry } from './ledger.ts';
import type { DriverTarget, Step } from './step.ts';

/** A device and the driver it shall get. */
export interface BindTarget {
  readonly device: Device;
  readonly target: DriverTarget;
}

/** Loads what is not there yet, each module once, then moves each device. Devices that are on their driver only get the override. */
export function bindSteps(targets: readonly BindTarget[], catalog: ModuleCatalog): readonly Step[] {
  const modules = new Set<string>();
  for (const { target } of targets)
    if (target.module !== null && catalog.modules.get(target.module)?.state === 'Available') modules.add(target.module);
  return [
    ...[...modules].map((module): Step => ({ kind: 'LoadModule', module })),
    ...targets.flatMap((entry) => moveSteps(entry)),
  ];
}

function moveSteps({ device, target }: BindTarget): readonly Step[] {
  const { bus, address, driver } = device;
  const previous = device.guarded?.driverOverride ?? null;
  const steps: Step[] = [];
  if (target.name === null || previous !== target.name)
    steps.push({ kind: 'SetOverride', bus, address, driver: target, previous });
  if (driver !== null && driver === target.name) return steps;
  if (driver !== null) steps.push({ kind: 'Unbind', bus, address, driver });
  steps.push({ kind: 'Bind', bus, address, driver: target });
  return steps;
}

/**
 * Gives one device back: its former override (usually none), off the VFIO driver, and the kernel matches again where it had a
 * driver before. An adopted device is left without a driver, as is one that had none. An override that named another driver than
 * the one it had is set last: while it is set, only the driver it names can be bound. What somebody else has given another driver, or
 * claims, is left to them.
 */
export function releaseSteps(device: Device, entry: LedgerEntry): readonly Step[] {
  const { bus, address } = device;
  const current = device.guarded === null ? entry.driver : device.guarded.driverOverride;
  const restored = entry.adopted ? null : entry.originalOverride;
  const driver = entry.adopted ? null : entry.originalDriver;
  if (foreignClaim(device, entry, null) !== null) return [];
  const first = restored !== null && driver !== null && restored !== driver ? null : restored;
  const override = (from: string | null, to: string | null): readonly Step[] =>
    from === to
      ? []
      : [
          {
            kind: 'SetOverride',
            bus,
            address,
            driver: to === null ? null : { module: null, name: to },
            previous: from,
          },
        ];
  return [
    ...override(current, first),
    ...(device.driver !== null && device.driver === entry.driver
      ? [{ kind: 'Unbind', bus, address, driver: device.driver } as const]
      : []),
    ...(driver !== null && (device.driver === null || device.driver === entry.driver)
      ? [{ kind: 'Probe', bus, address, expect: driver } as const]
      : []),
    ...override(first, restored),
  ];
}

/** Makes `count` VFs on a PF that has none, without letting host drivers take them in between. */
export function virtualFunctionSteps(device: Device, count: number): readonly Step[] {
  const { address } = device;
  const make: Step = { kind: 'SetVirtualFunctions', address, count, previous: device.virtualFunctions.length };
  if (device.guarded?.autoprobe !== true) return [make];
  return [
    { kind: 'SetAutoprobe', address, value: false, previous: true },
    make,
    { kind: 'SetAutoprobe', address, value: true, previous: false },
  ];
}

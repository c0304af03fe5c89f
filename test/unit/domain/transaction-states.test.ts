// Where transactions start and lead, and the way back from any state.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Step } from '../../../src/domain/step.ts';
import {
  describeForeign,
  isIn,
  stepsTowards,
  toTouchedDevices,
  type DeviceState,
  type ObservedDevice,
  type TouchedDevice,
} from '../../../src/domain/transaction-states.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from '../../support/transactions.ts';

const address = '0000:01:00.0';

function only(
  kind: 'Bind' | 'Release' | 'CreateVirtualFunctions',
  steps: readonly Step[],
  driver: string | null = 'e1000e',
): TouchedDevice {
  const [device, ...rest] = toTouchedDevices(aTransaction(kind, [aMember(address, { driver })], steps), steps);
  if (device === undefined || rest.length > 0) throw new Error('expected one device');
  return device;
}

function resolved(steps: readonly Step[]): readonly Step[] {
  return steps.map((step) =>
    step.kind === 'Bind' || (step.kind === 'SetOverride' && step.driver !== null)
      ? { ...step, driver: { module: 'vfio_pci', name: 'vfio-pci' } }
      : step,
  );
}

function shows(parts: Partial<ObservedDevice> = {}): ObservedDevice {
  return {
    bus: 'pci',
    address,
    modalias: 'pci:x',
    iommuGroup: 1,
    driver: null,
    override: null,
    virtualFunctions: null,
    autoprobe: null,
    ...parts,
  };
}

/** What a step makes of a device, as the driver core does. */
function obey(observed: ObservedDevice, step: Step): ObservedDevice {
  switch (step.kind) {
    case 'LoadModule':
    case 'Probe':
      return observed;
    case 'SetOverride':
      return { ...observed, override: step.driver?.name ?? null };
    case 'Unbind':
      expect(observed.driver).toBe(step.driver);
      return { ...observed, driver: null };
    case 'Bind':
      expect(observed.driver).toBeNull();
      if (observed.override !== null) expect(step.driver.name).toBe(observed.override);
      return { ...observed, driver: step.driver.name };
    case 'SetAutoprobe':
      return { ...observed, autoprobe: step.value };
    case 'SetVirtualFunctions':
      return { ...observed, virtualFunctions: step.count };
  }
}

describe('the states of a transaction', () => {
  it('bind: from the host driver to the resolved one, nothing planned before it is resolved', () => {
    const steps = bindSteps(address, 'vfio_pci');
    expect(only('Bind', steps).planned).toBeNull();
    const device = only('Bind', resolved(steps));
    expect(device.initial).toEqual({ driver: 'e1000e', override: null });
    expect(device.planned).toEqual({ driver: 'vfio-pci', override: 'vfio-pci' });
  });

  it('only what was begun is touched', () => {
    const steps = resolved(bindSteps(address, 'vfio_pci'));
    expect(toTouchedDevices(aTransaction('Bind', [aMember(address)], steps), steps.slice(0, 1))).toEqual([]);
    expect(only('Bind', steps.slice(0, 2)).initial).toEqual({ override: null });
  });

  it('release: the probe promises the driver that was there, or nothing', () => {
    const back = only('Release', releaseSteps(address, 'vfio-pci', 'e1000e'), 'vfio-pci');
    expect(back.initial).toEqual({ driver: 'vfio-pci', override: 'vfio-pci' });
    expect(back.planned).toEqual({ driver: 'e1000e', override: null });
    expect(only('Release', releaseSteps(address, 'vfio-pci', null), 'vfio-pci').planned).toEqual({ override: null });
  });

  it('VFs: the first value is the start, the last the end', () => {
    const device = only('CreateVirtualFunctions', [
      { kind: 'SetAutoprobe', address, value: false, previous: true },
      { kind: 'SetVirtualFunctions', address, count: 7, previous: 0 },
      { kind: 'SetAutoprobe', address, value: true, previous: false },
    ]);
    expect(device.initial).toEqual({ autoprobe: true, virtualFunctions: 0 });
    expect(device.planned).toEqual({ autoprobe: true, virtualFunctions: 7 });
  });

  it('is in a state only with every value of it', () => {
    const state: DeviceState = { driver: 'a', override: null, virtualFunctions: 2, autoprobe: true };
    const there = shows({ driver: 'a', virtualFunctions: 2, autoprobe: true });
    expect(isIn(state, there)).toBe(true);
    for (const wrong of [{ driver: 'b' }, { override: 'x' }, { virtualFunctions: 1 }, { autoprobe: false }]) {
      expect(isIn(state, { ...there, ...wrong })).toBe(false);
    }
    expect(isIn({}, shows({ driver: 'anything' }))).toBe(true);
  });

  it('tells somebody else’s work from ours', () => {
    const device = only('Bind', resolved(bindSteps(address, 'vfio_pci')));
    for (const driver of ['e1000e', null, 'vfio-pci']) expect(describeForeign(device, shows({ driver }))).toBeNull();
    expect(describeForeign(device, shows({ driver: 'pci-stub' }))).toBe(
      `${address} has driver pci-stub, which this transaction did not bind`,
    );
    expect(describeForeign(device, shows({ override: 'pci-stub' }))).toContain('driver_override pci-stub');
    const probed = only('Release', releaseSteps(address, 'vfio-pci', null), 'vfio-pci');
    expect(describeForeign(probed, shows({ driver: 'whatever' }))).toBeNull();
  });
});

describe('the way to a state', () => {
  it('sets the override before it unbinds, and unbinds before it binds', () => {
    const steps = stepsTowards(
      { driver: 'e1000e', override: null },
      shows({ driver: 'vfio-pci', override: 'vfio-pci' }),
    );
    expect(steps.map(({ kind }) => kind)).toEqual(['SetOverride', 'Unbind', 'Bind']);
    expect(stepsTowards({ driver: null }, shows({ driver: 'vfio-pci' })).map(({ kind }) => kind)).toEqual(['Unbind']);
  });

  it('changes VFs before it lets drivers at new ones', () => {
    const goal = { virtualFunctions: 0, autoprobe: true };
    expect(stepsTowards(goal, shows({ virtualFunctions: 7, autoprobe: false })).map(({ kind }) => kind)).toEqual([
      'SetVirtualFunctions',
      'SetAutoprobe',
    ]);
    expect(stepsTowards(goal, shows()).map((step) => 'previous' in step && step.previous)).toEqual([0, false]);
  });

  it('leads there from everywhere, and nowhere when one is there', () => {
    const name = fc.constantFrom(null, 'e1000e', 'vfio-pci', 'none');
    const observed = fc
      .record({ driver: name, override: name, virtualFunctions: fc.nat(3), autoprobe: fc.boolean() })
      .map((parts) => shows(parts));
    const goals = fc.record(
      { driver: name, override: name, virtualFunctions: fc.nat(3), autoprobe: fc.boolean() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(observed, goals, (from, goal) => {
        const end = stepsTowards(goal, from).reduce(obey, from);
        expect(isIn(goal, end)).toBe(true);
        expect(stepsTowards(goal, end)).toEqual([]);
        if (goal.override === undefined) expect(end.override).toBe(from.override);
        if (goal.driver === undefined) expect(end.driver).toBe(from.driver);
      }),
    );
  });
});

// Which devices a selector means, and where one does not match, which of its parts says no, with what was wanted and what is there.
import type { Device } from './device.ts';
import { compileGlob } from './glob.ts';
import type { CompiledGlob } from './glob.ts';
import type { DeviceSelector, LabelSelector } from './policy.ts';

/** What a selector needs to know beyond the device itself. */
export interface SelectionContext {
  /** The driver the device had before we took it (from the ledger); null when we did not take it, or it had none. */
  driverBefore(address: string): string | null;
  /** Network interfaces of a PF. */
  interfacesOf(address: string): readonly string[];
}

/** The answer; for a no, the first part of the selector that failed. `wanted` and `found` are words for people. */
export type SelectorMatch =
  | { readonly matches: true }
  | {
      readonly matches: false;
      readonly failed: keyof DeviceSelector;
      readonly wanted: string;
      readonly found: string;
    };

/** Whether the device has everything the selector asks. Nothing asked (`{}`) means every device. */
export function matchesSelector(selector: DeviceSelector, device: Device, context: SelectionContext): SelectorMatch {
  for (const check of checks) {
    const mismatch = check(selector, device, context);
    if (mismatch !== null) return { matches: false, ...mismatch };
  }
  return { matches: true };
}

/** The sentence for people: "vendor is 8086, not 10de". null for a match. */
export function describeMismatch(match: SelectorMatch): string | null {
  return match.matches ? null : `${match.failed} is ${match.found}, not ${match.wanted}`;
}

/** Whether a node with these labels is selected, by the rules of Kubernetes: NotIn and DoesNotExist also hold without the label. */
export function nodeMatches(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  const value = (key: string): string | undefined => (Object.hasOwn(labels, key) ? labels[key] : undefined);
  return (
    Object.entries(selector.matchLabels).every(([key, wanted]) => value(key) === wanted) &&
    selector.matchExpressions.every(({ key, operator, values }) => {
      const found = value(key);
      switch (operator) {
        case 'In':
          return found !== undefined && values.includes(found);
        case 'NotIn':
          return found === undefined || !values.includes(found);
        case 'Exists':
          return found !== undefined;
        case 'DoesNotExist':
          return found === undefined;
      }
    })
  );
}

interface Mismatch {
  readonly failed: keyof DeviceSelector;
  readonly wanted: string;
  readonly found: string;
}

type Check = (selector: DeviceSelector, device: Device, context: SelectionContext) => Mismatch | null;

const none = 'none';

const checks: readonly Check[] = [
  equal('bus', (device) => device.bus),
  equal('vendor', (device) => device.vendor),
  equal('device', (device) => device.device),
  equal('subsystemVendor', (device) => device.subsystemVendor),
  equal('subsystemDevice', (device) => device.subsystemDevice),
  checkClass,
  oneOf('addresses', (device) => device.address),
  oneOf('slots', (device) => device.slot),
  oneOf('serialNumbers', (device) => device.serialNumber),
  oneOf('acpiIndexes', (device) => device.acpiIndex),
  oneOf('numaNodes', (device) => device.numaNode),
  checkFunction,
  checkDrivers,
  checkPhysicalFunctions,
  checkModalias,
];

function equal(
  failed: 'bus' | 'vendor' | 'device' | 'subsystemVendor' | 'subsystemDevice',
  read: (device: Device) => string | null,
): Check {
  return (selector, device) => {
    const wanted = selector[failed];
    const found = read(device);
    return wanted === null || wanted === found ? null : { failed, wanted, found: found ?? none };
  };
}

function oneOf(
  failed: 'addresses' | 'slots' | 'serialNumbers' | 'acpiIndexes' | 'numaNodes',
  read: (device: Device) => string | number | null,
): Check {
  return (selector, device) => {
    const wanted: readonly (string | number)[] = selector[failed];
    if (wanted.length === 0) return null;
    const found = read(device);
    if (found !== null && wanted.includes(found)) return null;
    return { failed, wanted: listed(wanted), found: found === null ? none : String(found) };
  };
}

function checkClass({ class: wanted }: DeviceSelector, { classCode }: Device): Mismatch | null {
  if (wanted === null || classCode?.startsWith(wanted) === true) return null;
  const digits = wanted.length < 6 ? `${wanted}${'x'.repeat(6 - wanted.length)}` : wanted;
  return { failed: 'class', wanted: digits, found: classCode ?? none };
}

function checkModalias(selector: DeviceSelector, device: Device): Mismatch | null {
  const wanted = selector.modalias;
  if (wanted === null) return null;
  const found = device.modalias ?? none;
  const compiled = compileOnce(selector, wanted);
  if (compiled.glob === null)
    return { failed: 'modalias', wanted: `a pattern (${compiled.problem}: ${wanted})`, found };
  if (device.modalias !== null && compiled.glob.matches(device.modalias)) return null;
  return { failed: 'modalias', wanted, found };
}

const compiledGlobs = new WeakMap<DeviceSelector, CompiledGlob>();

/** One selector meets every device of a node: its glob is compiled once. */
function compileOnce(selector: DeviceSelector, pattern: string): CompiledGlob {
  const compiled = compiledGlobs.get(selector) ?? compileGlob(pattern);
  compiledGlobs.set(selector, compiled);
  return compiled;
}

function checkFunction({ function: wanted }: DeviceSelector, { physicalFunction }: Device): Mismatch | null {
  const found = physicalFunction === null ? 'Physical' : 'Virtual';
  return wanted === 'Any' || wanted === found ? null : { failed: 'function', wanted, found };
}

/** A device we took shows our driver now; people select by the one they knew it with. */
function checkDrivers({ drivers }: DeviceSelector, device: Device, context: SelectionContext): Mismatch | null {
  if (drivers.length === 0) return null;
  const before = context.driverBefore(device.address);
  const had = [device.driver, before].filter((driver) => driver !== null);
  if (had.some((driver) => drivers.includes(driver))) return null;
  const found = before === null || before === device.driver ? '' : ` (before: ${before})`;
  return { failed: 'drivers', wanted: listed(drivers), found: `${device.driver ?? none}${found}` };
}

function checkPhysicalFunctions(
  { physicalFunctions }: DeviceSelector,
  { physicalFunction }: Device,
  context: SelectionContext,
): Mismatch | null {
  if (physicalFunctions.length === 0) return null;
  const wanted = listed(physicalFunctions);
  if (physicalFunction === null) return { failed: 'physicalFunctions', wanted, found: 'none (no VF)' };
  const names = context.interfacesOf(physicalFunction);
  if ([physicalFunction, ...names].some((name) => physicalFunctions.includes(name))) return null;
  const known = names.length === 0 ? '' : ` (${names.join(', ')})`;
  return { failed: 'physicalFunctions', wanted, found: `${physicalFunction}${known}` };
}

function listed(values: readonly (string | number)[]): string {
  return values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
}

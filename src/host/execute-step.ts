// One step, done and read back. A step looks before it writes: what is there already is not written again, and a value that is
// neither the old nor the wanted one is somebody else's and is left alone. `announce` is called, and awaited, before the kernel is
// touched, with the process that will make the call.
import { describeStep, type DriverTarget, type Step } from '../domain/step.ts';
import type { ProcessIdentity } from '../runtime/ports.ts';
import { explainErrno } from './explain-errno.ts';
import { countVirtualFunctions, observeDevice, observeIdentity, type ObserveHost } from './observe-device.ts';
import { WorkerUnavailable, type Abandoned, type WorkerLease, type WriteOutcome } from './ports.ts';
import { resolveDriver } from './resolve-driver.ts';

/** What steps work with. Deadlines in milliseconds. */
export interface StepHost extends ObserveHost {
  /** Makes a module be there; from load-module.ts. */
  readonly loadModule: (
    module: string,
  ) => Promise<
    | { readonly outcome: 'Present' | 'Loaded' }
    | { readonly outcome: 'Failed'; readonly message: string; readonly cure: string | null }
  >;
  /** For one driver write. */
  readonly writeDeadline: number;
  /** Added to it per VF when VFs are made or removed. */
  readonly virtualFunctionDeadline: number;
}

/** Told before the kernel is touched: the step with its driver's name resolved, and who makes the call (null: nobody needs to). */
export type Announce = (step: Step, worker: ProcessIdentity | null) => Promise<void>;

/** How a step ended. `said` is a sentence with what the kernel answered. */
export type StepOutcome =
  | { readonly outcome: 'Done'; readonly said: string | null }
  | { readonly outcome: 'Failed'; readonly said: string }
  | {
      readonly outcome: 'Stuck';
      readonly said: string;
      readonly worker: ProcessIdentity;
      readonly returned: Promise<void>;
    };

/** Runs one step. Rejects only when `announce` does, and then nothing was written. */
export async function executeStep(step: Step, host: StepHost, announce: Announce): Promise<StepOutcome> {
  try {
    switch (step.kind) {
      case 'LoadModule':
        return await loadModule(step, host, announce);
      case 'SetOverride':
        return await setOverride(step, host, announce);
      case 'Unbind':
        return await unbind(step, host, announce);
      case 'Bind':
        return await bind(step, host, announce);
      case 'Probe':
        return await probe(step, host, announce);
      case 'SetAutoprobe':
        return await setAutoprobe(step, host, announce);
      case 'SetVirtualFunctions':
        return await setVirtualFunctions(step, host, announce);
    }
  } catch (error) {
    if (error instanceof WorkerUnavailable) return failed(step, error.message);
    throw error;
  }
}

type Of<Kind extends Step['kind']> = Extract<Step, { kind: Kind }>;

async function loadModule(step: Of<'LoadModule'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  await announce(step, null);
  const load = await host.loadModule(step.module);
  if (load.outcome !== 'Failed') return done();
  return failed(step, load.cure === null ? load.message : `${load.message}. ${load.cure}`);
}

async function setOverride(step: Of<'SetOverride'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  const resolved = step.driver === null ? null : resolveDriver(host, step.bus, step.driver);
  if (resolved?.outcome === 'Unresolved') return failed(step, resolved.why);
  const known: Step = { ...step, driver: resolved?.target ?? null };
  const wanted = resolved?.target.name ?? null;
  const read = () => observeDevice(host, { ...where(step), override: true });
  const before = await read();
  if (before.outcome !== 'Observed') return unobserved(known, before, announce);
  const { override } = before.device;
  if (override === wanted) return already(known, announce);
  if (override !== step.previous) {
    return failed(
      known,
      `it is ${override ?? 'not set'} now and was ${step.previous ?? 'not set'}: somebody else changed it`,
    );
  }
  const path = `${host.paths.device(step.bus, step.address)}/driver_override`;
  // A lone newline clears it; an empty write would be no write at all (drivers/base/dd.c, __device_set_driver_override).
  const write = await writeOnce(known, host, announce, path, `${wanted ?? ''}\n`);
  if (write.outcome === 'Stuck') return stuck(known, write);
  const after = await read();
  if (after.outcome !== 'Observed') return unobserved(known, after, null);
  if (after.device.override === wanted) return done();
  return notTaken(known, write, `driver_override reads ${after.device.override ?? 'unset'}`);
}

// Through the driver's own directory the kernel itself checks that the device is bound to this driver and no other.
async function unbind(step: Of<'Unbind'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  const now = observeIdentity(host, step.bus, step.address);
  if (now === null) return failed(step, 'the device is gone');
  if (now.driver === null) return already(step, announce);
  if (now.driver !== step.driver) return failed(step, `it is bound to ${now.driver} now: somebody else did that`);
  const path = `${host.paths.driver(step.bus, step.driver)}/unbind`;
  const write = await writeOnce(step, host, announce, path, step.address);
  if (write.outcome === 'Stuck') return stuck(step, write);
  const after = observeIdentity(host, step.bus, step.address);
  if (after === null) return failed(step, 'the device is gone');
  return after.driver === null ? done() : notTaken(step, write, `it is bound to ${after.driver}`);
}

async function bind(step: Of<'Bind'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  const resolved = resolveDriver(host, step.bus, step.driver);
  if (resolved.outcome === 'Unresolved') return failed(step, resolved.why);
  const { name } = resolved.target;
  const known: Step = { ...step, driver: resolved.target };
  const now = observeIdentity(host, step.bus, step.address);
  if (now === null) return failed(known, 'the device is gone');
  // A driver that registers binds by itself what an override keeps for it.
  if (now.driver === name) return already(known, announce);
  if (now.driver !== null) return failed(known, `it is bound to ${now.driver} now: somebody else did that`);
  const path = `${host.paths.driver(step.bus, name)}/bind`;
  const write = await writeOnce(known, host, announce, path, step.address);
  if (write.outcome === 'Stuck') return stuck(known, write);
  const after = observeIdentity(host, step.bus, step.address);
  if (after === null) return failed(known, 'the device is gone');
  return after.driver === name ? done() : notTaken(known, write, `it has ${after.driver ?? 'no driver'}`);
}

// drivers_probe says nothing about a probe that failed, so where a driver is expected and does not come, its own bind file is asked:
// that binds it, or gives the errno.
async function probe(step: Of<'Probe'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  const now = observeIdentity(host, step.bus, step.address);
  if (now === null) return failed(step, 'the device is gone');
  if (now.driver !== null && now.driver === step.expect) return already(step, announce);
  const write = await writeOnce(step, host, announce, host.paths.driversProbe(step.bus), step.address);
  if (write.outcome === 'Stuck') return stuck(step, write);
  const after = observeIdentity(host, step.bus, step.address);
  if (after === null) return failed(step, 'the device is gone');
  if (step.expect === null || after.driver === step.expect) return done();
  if (after.driver !== null) return failed(step, `the kernel chose ${after.driver}`);
  const driver: DriverTarget = { module: null, name: step.expect };
  const bound = await bind({ kind: 'Bind', bus: step.bus, address: step.address, driver }, host, (_bind, worker) =>
    announce(step, worker),
  );
  return bound.outcome === 'Failed' ? { ...bound, said: `${describeStep(step)}: nothing came; ${bound.said}` } : bound;
}

async function setAutoprobe(step: Of<'SetAutoprobe'>, host: StepHost, announce: Announce): Promise<StepOutcome> {
  const read = () => observeDevice(host, { ...where(step), autoprobe: true });
  const before = await read();
  if (before.outcome !== 'Observed') return unobserved(step, before, announce);
  if (before.device.autoprobe === step.value) return already(step, announce);
  const path = `${host.paths.device('pci', step.address)}/sriov_drivers_autoprobe`;
  const write = await writeOnce(step, host, announce, path, step.value ? '1' : '0');
  if (write.outcome === 'Stuck') return stuck(step, write);
  const after = await read();
  if (after.outcome !== 'Observed') return unobserved(step, after, null);
  if (after.device.autoprobe === step.value) return done();
  return notTaken(step, write, `sriov_drivers_autoprobe reads ${String(after.device.autoprobe)}`);
}

// The kernel goes from one number of VFs to another only through 0, and may make fewer than asked (drivers/pci/pci-sysfs.c,
// sriov_numvfs_store: "%d VFs requested; only %d enabled"): what counts is what is there afterwards.
async function setVirtualFunctions(
  step: Of<'SetVirtualFunctions'>,
  host: StepHost,
  announce: Announce,
): Promise<StepOutcome> {
  const read = () => observeDevice(host, { ...where(step), virtualFunctions: true });
  const before = await read();
  if (before.outcome !== 'Observed') return unobserved(step, before, announce);
  const { virtualFunctions: now } = before.device;
  if (now === step.count) return already(step, announce);
  if (now !== step.previous)
    return failed(step, `it has ${now ?? 'no'} VFs now and had ${step.previous}: somebody else changed that`);
  const texts = now > 0 && step.count > 0 ? ['0', String(step.count)] : [String(step.count)];
  const deadline = host.writeDeadline + host.virtualFunctionDeadline * Math.max(step.count, step.previous);
  const path = `${host.paths.device('pci', step.address)}/sriov_numvfs`;
  const write = await writeAll(
    step,
    host,
    announce,
    texts.map((text) => ({ path, text })),
    deadline,
  );
  if (write.outcome === 'Stuck') return stuck(step, write);
  const after = await read();
  if (after.outcome !== 'Observed') return unobserved(step, after, null);
  const made = countVirtualFunctions(host, step.address);
  if (after.device.virtualFunctions === step.count && made === step.count) return done();
  return notTaken(
    step,
    write,
    `the kernel shows sriov_numvfs ${after.device.virtualFunctions ?? 'unreadable'} and ${made} VFs`,
  );
}

function where(step: Exclude<Step, { kind: 'LoadModule' }>) {
  const bus = 'bus' in step ? step.bus : ('pci' as const);
  return { bus, address: step.address, override: false, virtualFunctions: false, autoprobe: false };
}

function writeOnce(step: Step, host: StepHost, announce: Announce, path: string, text: string): Promise<WriteOutcome> {
  return writeAll(step, host, announce, [{ path, text }], host.writeDeadline);
}

async function writeAll(
  step: Step,
  host: StepHost,
  announce: Announce,
  writes: readonly { readonly path: string; readonly text: string }[],
  deadline: number,
): Promise<WriteOutcome> {
  const lease: WorkerLease = await host.worker.lease();
  try {
    await announce(step, lease.worker);
    let outcome: WriteOutcome = { outcome: 'Written' };
    for (const { path, text } of writes) {
      outcome = await lease.write(path, text, deadline);
      if (outcome.outcome !== 'Written') break;
    }
    return outcome;
  } finally {
    lease.release();
  }
}

async function already(step: Step, announce: Announce): Promise<StepOutcome> {
  await announce(step, null);
  return { outcome: 'Done', said: 'it was so already' };
}

function done(): StepOutcome {
  return { outcome: 'Done', said: null };
}

function failed(step: Step, why: string): StepOutcome {
  return { outcome: 'Failed', said: `${describeStep(step)}: ${why}` };
}

function stuck(step: Step, { worker, returned }: Abandoned): StepOutcome {
  const said = `${describeStep(step)}: the kernel call has not returned (process ${worker.pid})`;
  return { outcome: 'Stuck', said, worker, returned };
}

function notTaken(step: Step, write: Exclude<WriteOutcome, Abandoned>, shows: string): StepOutcome {
  const answer = write.outcome === 'Written' ? 'the kernel took the write' : explainErrno(step.kind, write.errno);
  return failed(step, `${answer}; afterwards ${shows}`);
}

async function unobserved(
  step: Step,
  observation: { readonly outcome: 'Gone' } | { readonly outcome: 'Unreadable'; readonly why: string } | Abandoned,
  announce: Announce | null,
): Promise<StepOutcome> {
  if (observation.outcome === 'Gone') return failed(step, 'the device is gone');
  if (observation.outcome === 'Unreadable') return failed(step, observation.why);
  // The journal shall know the process that hangs, even if it hangs in a read.
  await announce?.(step, observation.worker);
  return stuck(step, observation);
}

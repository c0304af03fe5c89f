// From the alias evidence and the policy's wishes to the driver a device shall have, or the refusal that says why there is none.
import { isGenericModule } from './bus-catalog.ts';
import { chooseDriver } from './choose-driver.ts';
import type { AliasTable } from './alias-table.ts';
import type { Device } from './device.ts';
import type { AliasEntry, DriverChoice, ModuleCatalog, ModuleFacts } from './driver-choice.ts';
import { describeBootLoading } from './module-cure.ts';
import { toModuleName } from './module-name.ts';
import type { Policy } from './policy.ts';
import type { DriverTarget } from './step.ts';

/** Why a device cannot be given a driver. */
export interface TargetRefusal {
  readonly code: 'NoDriver' | 'ModuleMissing';
  readonly message: string;
}

/** The driver's target with its evidence; exactly one of `target` and `refusal` is set. */
export interface TargetChoice {
  readonly choice: DriverChoice;
  readonly target: DriverTarget | null;
  readonly refusal: TargetRefusal | null;
}

const policyEntries = new WeakMap<Policy, readonly AliasEntry[]>();

/** The policy's declared aliases as table entries, the same list for the same policy. */
export function declaredEntries(policy: Policy): readonly AliasEntry[] {
  const known = policyEntries.get(policy);
  if (known !== undefined) return known;
  const entries = policy.driver.aliases.map((alias, index): AliasEntry => ({
    pattern: alias.pattern,
    module: toModuleName(alias.module),
    origin: 'policy',
    source: `policy ${policy.name}`,
    line: index + 1,
  }));
  policyEntries.set(policy, entries);
  return entries;
}

/** Decides the VFIO driver of `device` under `policy`. */
export function chooseTarget(
  device: Device,
  policy: Policy,
  aliases: AliasTable,
  catalog: ModuleCatalog,
): TargetChoice {
  const choice = chooseDriver(device, aliases, catalog, { policyAliases: declaredEntries(policy) });
  const refuse = (code: TargetRefusal['code'], message: string): TargetChoice => ({
    choice,
    target: null,
    refusal: { code, message },
  });
  if (policy.driver.name !== null) {
    const module = moduleFor(policy.driver.name, policy.driver.module, device, choice, catalog);
    if (module === null)
      return refuse(
        'NoDriver',
        `no module is known to register driver ${policy.driver.name}; name it in driver.module`,
      );
    return checkModule(module, policy.driver.name, device, catalog, choice);
  }
  if (choice.chosen === null) {
    const reasons = choice.rejected.map((candidate) => candidate.reason).join('; ');
    return refuse('NoDriver', `no VFIO driver for ${device.modalias ?? 'a device without modalias'}: ${reasons}`);
  }
  if (policy.driver.requireVariant && (choice.fallback || isGenericModule(choice.chosen.module)))
    return refuse('NoDriver', `no variant driver matches ${choice.lookup ?? ''}, and requireVariant is set`);
  return checkModule(choice.chosen.module, null, device, catalog, choice);
}

/** Module of a driver that the policy names: as given, else of the registered driver, else the candidate that can register it. */
function moduleFor(
  driver: string,
  given: string | null,
  device: Device,
  choice: DriverChoice,
  catalog: ModuleCatalog,
): string | null {
  if (given !== null) return toModuleName(given);
  const registered = catalog.moduleOfDriver.get(`${device.bus}:${driver}`);
  if (registered !== undefined) return registered;
  const entries = [...choice.candidates, ...(choice.chosen === null ? [] : [choice.chosen])];
  const modules = [...new Set(entries.map((entry) => entry.module))];
  const notLoaded = modules.filter((module) => (catalog.modules.get(module)?.drivers.length ?? 0) === 0);
  return (
    notLoaded.find((module) => module === toModuleName(driver)) ??
    (notLoaded.length === 1 ? (notLoaded[0] ?? null) : null)
  );
}

function checkModule(
  module: string,
  driver: string | null,
  device: Device,
  catalog: ModuleCatalog,
  choice: DriverChoice,
): TargetChoice {
  const refuse = (code: TargetRefusal['code'], message: string): TargetChoice => ({
    choice,
    target: null,
    refusal: { code, message },
  });
  const facts = catalog.modules.get(module);
  if (facts === undefined || facts.state === 'Missing')
    return refuse('ModuleMissing', `module ${module} is not installed for this kernel`);
  if (facts.blacklistedBy !== null)
    return refuse('NoDriver', `module ${module} is blacklisted in ${facts.blacklistedBy}`);
  if (!facts.isVfio)
    return refuse('NoDriver', `module ${module} is no VFIO driver: it does not depend on the VFIO core`);
  if (facts.state === 'Available')
    return catalog.mayLoad
      ? { choice, target: { module, name: driver }, refusal: null }
      : refuse(
          'ModuleMissing',
          `module ${module} is not loaded, and this agent may not load modules; ${describeBootLoading(module)}`,
        );
  const name = driverOf(facts, driver, device);
  if (name === null)
    return refuse(
      'NoDriver',
      driver === null
        ? `module ${module} is loaded but has registered no driver on bus ${device.bus}`
        : `module ${module} is loaded but has not registered driver ${driver}`,
    );
  return { choice, target: { module, name }, refusal: null };
}

function driverOf(facts: ModuleFacts, wanted: string | null, device: Device): string | null {
  const names = facts.drivers.filter((driver) => driver.bus === device.bus).map((driver) => driver.name);
  if (wanted !== null) return names.includes(wanted) ? wanted : null;
  return names[0] ?? null;
}

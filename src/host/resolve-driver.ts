// From a kernel module to the driver that `driver_override` and `bind` want. The two names differ for several VFIO drivers, and with
// the wrong one every write succeeds while the device is left without any driver; so the name is read, never guessed.
import type { Bus } from '../domain/device.ts';
import { toModuleName } from '../domain/module-name.ts';
import type { DriverTarget } from '../domain/step.ts';
import type { Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs } from './sysfs.ts';

/** The name, or why there is none. */
export type ResolvedDriver =
  | { readonly outcome: 'Resolved'; readonly target: DriverTarget & { readonly name: string } }
  | { readonly outcome: 'Unresolved'; readonly why: string };

/** Reads the driver's name from /sys/module/MODULE/drivers/BUS:DRIVER, unless the target carries one. */
export function resolveDriver(
  host: { readonly files: Files; readonly paths: HostPaths },
  bus: Bus,
  target: DriverTarget,
): ResolvedDriver {
  const { module, name } = target;
  if (name !== null) {
    return isFileName(name)
      ? { outcome: 'Resolved', target: { module, name } }
      : unresolved(`${JSON.stringify(name)} cannot be a driver's name`);
  }
  if (module === null || !isFileName(module)) return unresolved('neither driver nor module is known');
  const directory = `${host.paths.module(toModuleName(module))}/drivers`;
  const entries = createSysfs(host.files, () => undefined).listNames(directory) ?? [];
  const names = entries.flatMap((entry) => (entry.startsWith(`${bus}:`) ? [entry.slice(bus.length + 1)] : []));
  const [only] = names;
  if (only !== undefined && names.length === 1) return { outcome: 'Resolved', target: { module, name: only } };
  return unresolved(
    names.length === 0
      ? `module ${module} has registered no driver on the ${bus} bus (${directory})`
      : `module ${module} has registered several drivers on the ${bus} bus (${names.join(', ')}); name one in driver.name`,
  );
}

function unresolved(why: string): ResolvedDriver {
  return { outcome: 'Unresolved', why };
}

function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0\n]/.test(name);
}

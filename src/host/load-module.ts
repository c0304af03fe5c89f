// Loads a module with the host's own modprobe (its configuration, its compression formats, its signatures), and believes only
// /sys/module: modprobe answers 0 for a blacklisted module and for an `install` line that does nothing.
import { compileGlob } from '../domain/glob.ts';
import { describeBootLoading } from '../domain/module-cure.ts';
import { isModuleName, toModuleName } from '../domain/module-name.ts';
import { FileError, type CommandResult, type Files, type Processes } from '../runtime/ports.ts';
import type { AliasSources } from './alias-sources.ts';
import type { HostPaths } from './host-paths.ts';

/** Why a module is not there after all. */
export type LoadFailure =
  | 'BadName'
  | 'Forbidden'
  | 'Missing'
  | 'Blacklisted'
  | 'InstallCommand'
  | 'Signature'
  | 'WrongFormat'
  | 'NoModprobe'
  | 'TimedOut'
  | 'Failed';

/** How it ended. `message` says what was tried and what came back, `cure` what a person can do (null: nothing known). */
export type ModuleLoad =
  | { readonly outcome: 'Present' | 'Loaded' }
  | { readonly outcome: 'Failed'; readonly code: LoadFailure; readonly message: string; readonly cure: string | null };

/** What loading works with. */
export interface ModuleLoader {
  readonly files: Files;
  readonly processes: Processes;
  readonly paths: HostPaths;
  /** What the host's configuration says, for the explanation. */
  readonly sources: Pick<AliasSources, 'blacklist' | 'installs' | 'builtin' | 'available'>;
  /** Milliseconds for one modprobe: it also probes devices with the drivers it brings along. */
  readonly deadline: number;
}

/**
 * Makes `module` (any spelling) be there. Loading has no inverse and may bring other modules along. Also sees to
 * vfio_iommu_type1, which vfio names as a soft dependency that busybox's modprobe does not know.
 */
export async function loadModule(loader: ModuleLoader, module: string): Promise<ModuleLoad> {
  if (!isModuleName(module)) return failed('BadName', `${JSON.stringify(module)} is no module name`, null);
  const name = toModuleName(module);
  if (isPresent(loader, name)) return { outcome: 'Present' };
  const result = await runModprobe(loader, name);
  if (!isPresent(loader, name)) return explain(loader, name, result);
  if (name.includes('vfio') && needsType1(loader)) await runModprobe(loader, 'vfio_iommu_type1');
  return { outcome: 'Loaded' };
}

function isPresent({ files, paths, sources }: ModuleLoader, name: string): boolean {
  if (!pathExists(files, paths.module(name))) return sources.builtin?.has(name) === true;
  const phase = readOrNull(files, `${paths.module(name)}/initstate`);
  return phase === null || phase === 'live';
}

function needsType1({ files, paths, sources }: ModuleLoader): boolean {
  const type1 = 'vfio_iommu_type1';
  return sources.available?.has(type1) === true && !pathExists(files, paths.module(type1));
}

/** Services may lack the directory of modprobe in their PATH; the kernel knows where the host's is. */
async function runModprobe({ files, processes, paths, deadline }: ModuleLoader, name: string): Promise<CommandResult> {
  const options = paths.root === '' ? { deadline } : { deadline, root: paths.root };
  const result = await processes.run('modprobe', ['--', name], options);
  const helper = result.code === 127 ? readOrNull(files, `${paths.proc}/sys/kernel/modprobe`) : null;
  return helper?.startsWith('/') === true ? processes.run(helper, ['--', name], options) : result;
}

function explain(loader: ModuleLoader, name: string, result: CommandResult): ModuleLoad {
  const { files, paths, sources, deadline } = loader;
  const said = result.stderr
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .slice(0, 500);
  const tried = `modprobe ${name}${said === '' ? '' : ` said: ${said}`}`;
  const boot = describeBootLoading(name);
  if (result.timedOut) {
    return failed(
      'TimedOut',
      `modprobe ${name} has not ended within ${deadline} ms`,
      'see the kernel log for a driver that hangs',
    );
  }
  const install = sources.installs.find((line) => compileGlob(line.pattern).glob?.matches(name) === true);
  if (install !== undefined) {
    const place = `${install.source}:${install.line}`;
    return failed(
      'InstallCommand',
      `${tried}; ${place} runs "${install.command}" instead of loading it`,
      `remove the install line at ${place}`,
    );
  }
  const blacklisted = sources.blacklist.find((line) => line.module === name);
  if (result.code === 0) {
    if (blacklisted === undefined) {
      return failed('Failed', `modprobe ${name} ended well, but ${paths.module(name)} is not there`, boot);
    }
    const place = `${blacklisted.source}:${blacklisted.line}`;
    return failed(
      'Blacklisted',
      `modprobe ${name} loaded nothing: ${place} blacklists it`,
      `remove the blacklist line at ${place}`,
    );
  }
  if (readOrNull(files, `${paths.proc}/sys/kernel/modules_disabled`) === '1') {
    return failed(
      'Forbidden',
      `${tried}; kernel.modules_disabled is 1: no module can be loaded until the next boot`,
      boot,
    );
  }
  const known = failures.find(({ pattern }) => pattern.test(said));
  if (known !== undefined) return failed(known.code, `${tried}; ${known.meaning}`, known.cure ?? boot);
  if (result.code === 127) return failed('NoModprobe', tried, boot);
  return failed('Failed', tried === `modprobe ${name}` ? `${tried} failed (code ${result.code})` : tried, null);
}

/** What modprobe (kmod's or busybox's) prints of the kernel's errno, most telling first. */
const failures: readonly {
  readonly pattern: RegExp;
  readonly code: LoadFailure;
  readonly meaning: string;
  readonly cure?: string;
}[] = [
  {
    pattern: /key was rejected|required key not available|key has (?:expired|been revoked)/i,
    code: 'Signature',
    meaning: 'the kernel does not accept its signature (Secure Boot, module.sig_enforce)',
    cure: 'sign the module with a key the kernel trusts (a machine owner key), or use a module of the distribution',
  },
  {
    pattern: /operation not permitted|permission denied/i,
    code: 'Forbidden',
    meaning: 'the kernel does not let this process load modules (no CAP_SYS_MODULE, or lockdown)',
  },
  {
    pattern: /exec format error|invalid module format|disagrees about version/i,
    code: 'WrongFormat',
    meaning: 'the module was built for another kernel, or is compressed in a way this modprobe cannot read',
    cure: "build the module for the running kernel, and let the host's own modprobe load it",
  },
  {
    pattern: /not found|no such file/i,
    code: 'Missing',
    meaning: 'it is not installed for the running kernel',
    cure: 'install the package that has it for the running kernel (or reboot into the kernel that is installed)',
  },
];

function failed(code: LoadFailure, message: string, cure: string | null): ModuleLoad {
  return { outcome: 'Failed', code, message, cure };
}

function pathExists(files: Files, path: string): boolean {
  try {
    files.stat(path);
    return true;
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}

function readOrNull(files: Files, path: string): string | null {
  try {
    return files.readText(path, 4096).trim();
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}

import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { loadModule } from '../../../src/host/load-module.ts';
import type { ModuleLoader } from '../../../src/host/load-module.ts';
import type { CommandResult } from '../../../src/runtime/ports.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import type { MemoryFiles } from '../../../src/simulation/memory-files.ts';

interface Ran {
  readonly file: string;
  readonly args: readonly string[];
  readonly root: string | null;
  readonly deadline: number;
}

/** A host whose modprobe answers as told, after changing its files as told. */
function host(
  answer: Partial<CommandResult> | ((ran: Ran, files: MemoryFiles) => Partial<CommandResult>),
  more: Partial<ModuleLoader['sources']> & { readonly root?: string; readonly files?: Record<string, string> } = {},
) {
  const files = createMemoryFiles({ entries: more.files ?? {} });
  const ran: Ran[] = [];
  const loader: ModuleLoader = {
    files,
    paths: hostPaths(more.root ?? '/'),
    sources: { blacklist: [], installs: [], builtin: new Map(), available: new Set(), ...more },
    deadline: 5000,
    processes: {
      self: { pid: 1, startTime: '1' },
      run: (file, args, options) => {
        const run = { file, args, root: options.root ?? null, deadline: options.deadline };
        ran.push(run);
        const result = typeof answer === 'function' ? answer(run, files) : answer;
        return Promise.resolve({ code: 0, stdout: '', stderr: '', timedOut: false, ...result });
      },
    },
  };
  return { loader, ran };
}

const appears = (run: Ran, files: MemoryFiles): Partial<CommandResult> => {
  const root = run.root ?? '';
  files.put(`${root}/sys/module/${run.args[1] ?? ''}/initstate`, 'live\n');
  return {};
};

describe('loadModule', () => {
  it("runs the host's modprobe and believes /sys/module", async () => {
    const { loader, ran } = host(appears);
    expect(await loadModule(loader, 'vfio-pci')).toEqual({ outcome: 'Loaded' });
    expect(ran).toEqual([{ file: 'modprobe', args: ['--', 'vfio_pci'], root: null, deadline: 5000 }]);
  });

  it('runs it in the root of a host that is mounted elsewhere', async () => {
    const { loader, ran } = host(appears, { root: '/host' });
    expect(await loadModule(loader, 'vfio_pci')).toEqual({ outcome: 'Loaded' });
    expect(ran[0]?.root).toBe('/host');
  });

  it.each([
    ['loaded', { '/sys/module/vfio_pci/initstate': 'live\n' }, undefined],
    ['built in', { '/sys/module/vfio_pci/parameters/ids': '' }, undefined],
    ['built in, by modules.builtin alone', {}, new Map([['vfio_pci', 'kernel/drivers/vfio/pci/vfio-pci.ko']])],
  ])('does nothing for a module that is there: %s', async (_how, files, builtin) => {
    const { loader, ran } = host({}, { files, ...(builtin === undefined ? {} : { builtin }) });
    expect(await loadModule(loader, 'vfio_pci')).toEqual({ outcome: 'Present' });
    expect(ran).toEqual([]);
  });

  it('waits for a module that is still initialising by loading it again', async () => {
    const { loader, ran } = host(appears, { files: { '/sys/module/vfio_pci/initstate': 'coming\n' } });
    expect(await loadModule(loader, 'vfio_pci')).toEqual({ outcome: 'Loaded' });
    expect(ran).toHaveLength(1);
  });

  it('loads the IOMMU back end where modprobe knows no soft dependencies', async () => {
    const available = new Set(['vfio_iommu_type1']);
    const { loader, ran } = host(appears, { available });
    await loadModule(loader, 'vfio_pci');
    expect(ran.map(({ args }) => args[1])).toEqual(['vfio_pci', 'vfio_iommu_type1']);
    const kmod = host(appears, { available, files: { '/sys/module/vfio_iommu_type1/initstate': 'live\n' } });
    await loadModule(kmod.loader, 'vfio_pci');
    expect(kmod.ran).toHaveLength(1);
  });

  it('asks the kernel for modprobe where PATH does not have it', async () => {
    const { loader, ran } = host(
      (run, files) => (run.file === 'modprobe' ? { code: 127, stderr: 'no such program' } : appears(run, files)),
      { files: { '/proc/sys/kernel/modprobe': '/nix/store/kmod/bin/modprobe\n' } },
    );
    expect(await loadModule(loader, 'vfio_pci')).toEqual({ outcome: 'Loaded' });
    expect(ran.map(({ file }) => file)).toEqual(['modprobe', '/nix/store/kmod/bin/modprobe']);
  });

  it.each(['', '-r', 'a b', '../vfio', 'vfio;reboot', 'vfio\n'])(
    'never runs anything for the name %j',
    async (name) => {
      const { loader, ran } = host(appears);
      expect(await loadModule(loader, name)).toMatchObject({ outcome: 'Failed', code: 'BadName' });
      expect(ran).toEqual([]);
    },
  );
});

describe('a load that fails', () => {
  const blacklist = [{ module: 'vfio_pci', source: '/etc/modprobe.d/no.conf', line: 3 }];
  const installs = [{ pattern: 'vfio*', command: '/bin/false', source: '/etc/modprobe.d/no.conf', line: 7 }];
  const disabled = { files: { '/proc/sys/kernel/modules_disabled': '1\n' } };
  const notPermitted = "modprobe: ERROR: could not insert 'vfio_pci': Operation not permitted";

  it.each<[string, Partial<CommandResult>, Parameters<typeof host>[1], string, RegExp, RegExp | null]>([
    [
      'nothing loaded, code 0, blacklisted',
      {},
      { blacklist },
      'Blacklisted',
      /^modprobe vfio_pci loaded nothing: \/etc\/modprobe\.d\/no\.conf:3 blacklists it$/,
      /remove the blacklist line at \/etc\/modprobe\.d\/no\.conf:3/,
    ],
    [
      'an install line',
      { code: 1, stderr: "modprobe: ERROR: could not insert 'vfio_pci': Invalid argument" },
      { installs },
      'InstallCommand',
      /said: .*Invalid argument; \/etc\/modprobe\.d\/no\.conf:7 runs "\/bin\/false" instead/,
      /remove the install line/,
    ],
    [
      'an install line that ends well',
      {},
      { installs },
      'InstallCommand',
      /no\.conf:7 runs/,
      /remove the install line/,
    ],
    [
      'nothing loaded, no reason',
      {},
      {},
      'Failed',
      /ended well, but \/sys\/module\/vfio_pci is not there/,
      /modules-load/,
    ],
    [
      'loading disabled',
      { code: 1, stderr: notPermitted },
      disabled,
      'Forbidden',
      /kernel\.modules_disabled is 1/,
      /"vfio_pci" in \/etc\/modules-load\.d\/vfio-operator\.conf.*modules: \[\{name: vfio_pci\}\]/,
    ],
    ['no capability', { code: 1, stderr: notPermitted }, {}, 'Forbidden', /no CAP_SYS_MODULE, or lockdown/, /Talos/],
    [
      'a signature',
      { code: 1, stderr: "modprobe: ERROR: could not insert 'vfio_pci': Key was rejected by service" },
      {},
      'Signature',
      /does not accept its signature/,
      /sign the module/,
    ],
    [
      'another kernel',
      { code: 1, stderr: "modprobe: ERROR: could not insert 'vfio_pci': Exec format error" },
      {},
      'WrongFormat',
      /built for another kernel/,
      /host's own modprobe/,
    ],
    [
      'no such module',
      { code: 1, stderr: 'modprobe: FATAL: Module vfio_pci not found in directory /lib/modules/6.1\n' },
      {},
      'Missing',
      /said: modprobe: FATAL: Module vfio_pci not found in directory \/lib\/modules\/6\.1; it is not installed/,
      /install the package/,
    ],
    [
      'no modprobe',
      { code: 127, stderr: 'cannot start modprobe' },
      {},
      'NoModprobe',
      /cannot start modprobe/,
      /modules-load/,
    ],
    ['no word', { code: 1 }, {}, 'Failed', /^modprobe vfio_pci failed \(code 1\)$/, null],
    ['something else', { code: 1, stderr: 'a\n  b' }, {}, 'Failed', /^modprobe vfio_pci said: a; b$/, null],
    ['no end', { code: null, timedOut: true }, {}, 'TimedOut', /has not ended within 5000 ms/, /kernel log/],
  ])('%s', async (_what, result, more, code, message, cure) => {
    const { loader } = host(result, more);
    const load = await loadModule(loader, 'vfio_pci');
    if (load.outcome !== 'Failed') throw new Error('it was loaded');
    expect(load.code).toBe(code);
    expect(load.message).toMatch(message);
    if (cure === null) expect(load.cure).toBeNull();
    else expect(load.cure).toMatch(cure);
  });
});

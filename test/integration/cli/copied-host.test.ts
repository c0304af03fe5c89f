// The program on a copy of another host: what it is for on a laptop. Everything it says must come from the copy alone.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copiedPolicies, createCopiedHost, rootDisk, type CopiedHost } from '../../support/copied-host.ts';
import { askHere, runProgramHere } from '../../support/run-cli.ts';

interface Decision {
  readonly address: string;
  readonly kind: string;
  readonly code: string | null;
  readonly message: string;
  readonly policy: string | null;
}

interface PlanAnswer {
  readonly node: string;
  readonly kernel: string;
  readonly decisions: readonly Decision[];
  readonly dryRun: readonly Decision[];
  readonly transactions: readonly {
    readonly key: string;
    readonly members: readonly { readonly address: string }[];
    readonly steps: readonly { readonly kind: string; readonly description: string }[];
  }[];
  readonly assumptions: readonly string[];
  readonly unproven: readonly { readonly address: string; readonly code: string }[];
  readonly unread: readonly { readonly source: string; readonly why: string }[];
}

let host: CopiedHost;
let policies: string;

beforeAll(() => {
  host = createCopiedHost();
  policies = `${host.root}/policies`;
  mkdirSync(policies);
  for (const [name, text] of Object.entries(copiedPolicies)) writeFileSync(`${policies}/${name}`, text);
});
afterAll(() => host.remove());

const onCopy = (...args: readonly string[]): readonly string[] => [...args, '--root', host.root];
const gpu = '0000:01:00.0';
const audio = '0000:01:00.1';
const vf = '0000:03:00.1';
const vfModalias = 'pci:v000015B3d0000101Esv00008086sd00000000bc02sc00i00';

describe('devices', () => {
  test('prints exactly devices and unread', async () => {
    const answer = (await askHere(onCopy('devices'))) as Record<string, unknown>;
    expect(Object.keys(answer)).toEqual(['devices', 'unread']);
    expect((answer.devices as { address: string }[]).map(({ address }) => address)).toEqual([
      gpu,
      audio,
      '0000:03:00.0',
      vf,
      '0000:03:00.2',
      rootDisk,
    ]);
    expect((answer.devices as unknown[])[3]).toMatchObject({
      bus: 'pci',
      modalias: vfModalias,
      vendor: '15b3',
      device: '101e',
      class: '020000',
      driver: 'mlx5_core',
      iommuGroup: 21,
      numaNode: null,
      function: 'Virtual',
      physicalFunction: '0000:03:00.0',
      vfioModule: 'mlx5_vfio_pci',
    });
  });

  test('prints a table of one line per device', async () => {
    const { stdout, code } = await runProgramHere(onCopy('devices'));
    expect(code).toBe(0);
    const [header, first] = stdout.split('\n');
    expect(header).toMatch(/^ADDRESS +ID +CLASS +DRIVER +GROUP +NUMA +VFIO MODULE +NOTES$/);
    expect(first).toMatch(/^0000:01:00\.0 +10de:2204 +VGA +nouveau +12 +0 +vfio_pci +-$/);
    expect(stdout).toContain('modules.builtin.modinfo: ENOENT');
  });

  test('prints YAML of the same', async () => {
    const { stdout } = await runProgramHere(onCopy('devices', '-o', 'yaml'));
    expect(stdout).toContain(`devices:\n  - address: ${gpu}\n`);
    expect(stdout).toContain('    iommuGroup: 12\n');
  });
});

describe('match', () => {
  test('ranks by the number of * and prints exactly the promised keys', async () => {
    const answer = (await askHere(onCopy('match', vf))) as Record<string, unknown>;
    expect(answer).toEqual({
      modalias: vfModalias,
      candidates: [
        {
          module: 'mlx5_vfio_pci',
          pattern: 'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*',
          wildcards: 5,
          origin: 'file',
          line: 3,
        },
        { module: 'vfio_pci', pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*', wildcards: 7, origin: 'file', line: 4 },
      ],
      chosen: {
        module: 'mlx5_vfio_pci',
        pattern: 'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*',
        wildcards: 5,
        origin: 'file',
        line: 3,
      },
      fallback: false,
      tie: false,
    });
  });

  test.each([vfModalias, `vfio_${vfModalias}`])('takes the modalias %s', async (subject) => {
    const answer = (await askHere(onCopy('match', subject))) as {
      modalias: string;
      chosen: { module: string };
    };
    expect(answer.modalias).toBe(vfModalias);
    expect(answer.chosen.module).toBe('mlx5_vfio_pci');
  });

  test('ends with 3 for an address that no device has', async () => {
    const { code, stdout, stderr } = await runProgramHere(onCopy('match', '0000:7f:00.0'));
    expect(code).toBe(3);
    expect(stdout).toBe('');
    expect(stderr).toContain('there is no device 0000:7f:00.0');
  });

  test('says that the generic driver of a kernel without aliases is a fallback', async () => {
    const old = createCopiedHost();
    rmSync(`${old.root}/lib/modules`, { recursive: true });
    old.tree.sink.file('/lib/modules/5.10.0/modules.alias', 'alias pci:v*d*sv*sd*bc01sc08i02* nvme\n');
    const answer = (await askHere(['match', vf, '--root', old.root, '--kernel', '5.10.0'])) as Record<string, unknown>;
    expect(answer).toMatchObject({ candidates: [], fallback: true, tie: false });
    expect(answer.chosen).toEqual({ module: 'vfio_pci', pattern: '', wildcards: 0, origin: 'builtin', line: 0 });
    old.remove();
  });

  test('reports a tie, blacklists and the origin of aliases', async () => {
    const other = createCopiedHost();
    other.tree.sink.file(
      '/etc/modprobe.d/vfio.conf',
      'blacklist mlx5_vfio_pci\nalias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* own_vfio_pci\nalias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* vfio_pci\n',
    );
    const answer = (await askHere(['match', vf, '--root', other.root])) as {
      tie: boolean;
      candidates: { module: string; origin: string }[];
    };
    expect(answer.tie).toBe(true);
    expect(answer.candidates.map(({ module, origin }) => `${module} ${origin}`)).toEqual([
      'own_vfio_pci modprobe.d',
      'vfio_pci modprobe.d',
      'vfio_pci file',
    ]);
    const table = (await runProgramHere(['match', vf, '--root', other.root])).stdout;
    expect(table).toContain('It is a tie');
    expect(table).toMatch(/mlx5_vfio_pci \(5 \*\): .*blacklisted in .*vfio\.conf:1/);
    other.remove();
  });
});

describe('kernel of a copy', () => {
  test('is the only folder in lib/modules, else somebody has to say', async () => {
    const other = createCopiedHost();
    rmSync(`${other.root}/proc/sys`, { recursive: true });
    expect(((await askHere(['plan', '--root', other.root])) as PlanAnswer).kernel).toBe('6.12.0-test');
    mkdirSync(`${other.root}/lib/modules/6.1.0-other`);
    const refused = await runProgramHere(['plan', '--root', other.root]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('6.1.0-other, 6.12.0-test');
    expect(refused.stderr).toContain('--kernel');
    expect(((await askHere(['plan', '--root', other.root, '--kernel', '6.1.0-other'])) as PlanAnswer).kernel).toBe(
      '6.1.0-other',
    );
    other.remove();
  });
});

describe('plan', () => {
  test('plans with every step, and says what a copy cannot prove', async () => {
    const answer = (await askHere(onCopy('plan', '--policies', policies))) as PlanAnswer;
    expect(answer.node).toBe('rack7-node3');
    expect(answer.decisions.map(({ address, kind, policy }) => [address, kind, policy])).toEqual([
      [gpu, 'Bind', 'gpus'],
      [audio, 'Bind', 'gpus'],
      [vf, 'Bind', 'vfs'],
      ['0000:03:00.2', 'Bind', 'vfs'],
    ]);
    expect(answer.transactions.map(({ key }) => key)).toEqual(['group:12', 'group:21', 'group:22']);
    expect(answer.transactions[1]?.steps.map(({ description }) => description)).toEqual([
      'modprobe mlx5_vfio_pci',
      `${vf}: driver_override = the driver of module mlx5_vfio_pci`,
      `${vf}: unbind from mlx5_core`,
      `${vf}: bind to the driver of module mlx5_vfio_pci`,
    ]);
    expect(answer.assumptions.join()).toContain('copy');
    expect(answer.unproven.map(({ address }) => address)).toContain(gpu);
    expect(answer.unread.length).toBeGreaterThan(0);
  });

  test('refuses the disk under the root filesystem, as far as the copy shows it', async () => {
    const answer = (await askHere(onCopy('plan', '--policies', policies))) as PlanAnswer;
    expect(answer.dryRun).toHaveLength(1);
    expect(answer.dryRun[0]).toMatchObject({ address: rootDisk, kind: 'Refused', code: 'RootStorage' });
    expect(answer.dryRun[0]?.message).toContain('nvme0n1p2 is mounted on /');
  });

  test('prints decisions, steps and doubts for people', async () => {
    const { stdout, code } = await runProgramHere(onCopy('plan', '--policies', policies));
    expect(code).toBe(0);
    expect(stdout).toContain('This is a copy of a host');
    expect(stdout).toMatch(
      /0000:01:00\.0 +Bind +- +gpus +nouveau +vfio_pci +12 +vfio-operator\.dev\/gpu +.*a copy cannot show/,
    );
    expect(stdout).toContain('3. 0000:01:00.0: unbind from nouveau');
    expect(stdout).toContain('Dry run');
  });

  test('ends with 2 and names file, line and field of a bad policy', async () => {
    const bad = `${host.root}/bad`;
    mkdirSync(bad);
    writeFileSync(
      `${bad}/gpu.yaml`,
      (copiedPolicies['gpus.yaml'] ?? '').replace('iommuGroup: Bind', 'iommuGruop: Bind'),
    );
    const { code, stdout, stderr } = await runProgramHere(onCopy('plan', '--policies', bad));
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^.*\/bad\/gpu\.yaml:9: spec\.iommuGruop: unknown field/);
  });

  test('ends with 2 when the directory is not there, and plans nothing without policies', async () => {
    const absent = await runProgramHere(onCopy('plan', '--policies', `${host.root}/absent`));
    expect(absent.code).toBe(2);
    expect(absent.stderr).toContain('/absent cannot be read: ENOENT');
    const none = await runProgramHere(onCopy('plan'));
    expect(none.code).toBe(0);
    expect(none.stdout).toContain('--policies');
    expect(none.stdout).toContain('Nothing to do.');
  });

  test('takes the labels of the node from the command line', async () => {
    const labelled = `${host.root}/labelled`;
    mkdirSync(labelled);
    writeFileSync(
      `${labelled}/a.yaml`,
      (copiedPolicies['gpus.yaml'] ?? '').replace(
        'spec:',
        'spec:\n  nodeSelector:\n    matchLabels:\n      gpu: "yes"',
      ),
    );
    const args = onCopy('plan', '--policies', labelled);
    expect(((await askHere(args)) as PlanAnswer).decisions).toEqual([]);
    expect(((await askHere([...args, '--node-labels', 'gpu=yes'])) as PlanAnswer).decisions).toHaveLength(2);
  });
});

describe('explain', () => {
  const explain = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runProgramHere(onCopy('explain', ...args));
    expect(stderr).toBe('');
    expect(code).toBe(0);
    return stdout;
  };

  test('says who selects a device, who does not and why, its drivers and its group', async () => {
    const text = await explain('01:00.0', '--policies', policies);
    expect(text).toContain('0000:01:00.0  10de:2204');
    expect(text).toMatch(/gpus \(.*gpus\.yaml:1\) selects it: devices\[0\] matches/);
    expect(text).toMatch(/vfs \(.*vfs\.yaml:1\) does not select it: devices\[0\]: vendor is 10de, not 15b3/);
    expect(text).toMatch(/disks \(.*vfs\.yaml:\d+, dry run\) does not select it: .*class is 030000, not 0108xx/);
    expect(text).toContain('Chosen: vfio_pci');
    expect(text).toMatch(
      /IOMMU group 12\n +MEMBER[^\n]*\n +0000:01:00\.0 .*Bind\n +0000:01:00\.1 +040300 audio +snd_hda_intel +Bind/,
    );
    expect(text.split('\n').length).toBeLessThan(50);
  });

  test('rehearses a device that no policy wants: the refusal, its proof and its cure', async () => {
    const text = await explain(rootDisk);
    expect(text).toContain('No policy wants it');
    expect(text).toMatch(/If a policy named just this device: Refused RootStorage.*nvme0n1p2 is mounted on \//);
    expect(text).toContain('Cure: A device under a mounted filesystem');
  });

  test('has the same in JSON', async () => {
    const answer = (await askHere(onCopy('explain', audio, '--policies', policies))) as Record<string, unknown>;
    expect(answer.decision).toMatchObject({ role: 'Companion', policy: 'gpus' });
    expect(answer.policies).toContainEqual(expect.objectContaining({ policy: 'gpus', verdict: 'Companion' }));
    expect(answer.group).toMatchObject({ number: 12 });
  });

  test('ends with 3 for an address that no device has', async () => {
    const { code, stderr } = await runProgramHere(onCopy('explain', '0000:7f:00.0'));
    expect(code).toBe(3);
    expect(stderr).toContain('vfio-operator devices');
  });
});

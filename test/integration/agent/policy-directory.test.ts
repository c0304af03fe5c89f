import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPolicyDirectory } from '../../../src/agent/policy-directory.ts';
import type { PolicyDirectory, PolicySnapshot } from '../../../src/agent/policy-directory.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import type { Clock, Files } from '../../../src/runtime/ports.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

let home = '';
let directory = '';
const opened: PolicyDirectory[] = [];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'policy-directory-'));
  directory = join(home, 'policies');
  mkdirSync(directory);
  mkdirSync(join(home, 'state'));
});

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
  rmSync(home, { recursive: true });
});

const policy = (name: string, vendor = '15b3'): string =>
  `apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\nmetadata: { name: ${name} }\nspec:\n  devices: [{ vendor: "${vendor}" }]\n`;
const put = (name: string, text: string): void => writeFileSync(join(directory, name), text);
const drop = (name: string): void => rmSync(join(directory, name));

async function open(
  clock: Clock = createVirtualClock(),
  onChange: (snapshot: PolicySnapshot) => void = () => {},
  files: Files = createFiles(),
): Promise<PolicyDirectory> {
  const keptFile = join(home, 'state', 'policies.json');
  const result = await openPolicyDirectory({ files, clock, directory, keptFile, onChange });
  opened.push(result);
  return result;
}

/** Names and vendors in force, and whether the set is complete. */
function inForce({ current: { set } }: PolicyDirectory): string {
  const policies = set.policies.map(({ name, devices }) => `${name}=${devices[0]?.vendor ?? ''}`);
  return [...policies, ...(set.complete ? [] : ['incomplete'])].join(' ');
}

function problems({ current }: PolicyDirectory): readonly string[] {
  return current.problems.map(({ file, line, path }) => `${file.replace(`${directory}/`, '')}:${line} ${path}`.trim());
}

/** Looks, and looks again after what is missing has been missing long enough. */
async function lookTwice(policies: PolicyDirectory, clock: ReturnType<typeof createVirtualClock>): Promise<void> {
  await policies.look();
  await clock.advance(1_000);
  await policies.look();
}

describe('a directory of policy files', () => {
  it('is complete and empty when it is empty', async () => {
    const policies = await open();
    expect(policies.current).toEqual({ set: { complete: true, policies: [], why: null }, problems: [] });
  });

  it('holds the policies of all its files, and none of what is no policy file', async () => {
    put('b.yaml', `${policy('two')}---\n${policy('three', '8086')}`);
    put('a.yml', policy('one', '10de'));
    put(
      'c.json',
      JSON.stringify({
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioPolicy',
        metadata: { name: 'four' },
        spec: { devices: [{ vendor: '1002' }] },
      }),
    );
    for (const name of [
      '.hidden.yaml',
      'b.yaml~',
      '.b.yaml.swp',
      '#b.yaml#',
      'b.yaml.bak',
      '4913',
      'README.md',
      '.yaml',
    ])
      put(name, ': not: yaml [');
    mkdirSync(join(directory, 'folder.yaml'));
    const policies = await open();
    expect(inForce(policies)).toBe('four=1002 one=10de three=8086 two=15b3');
    expect(policies.current.set.policies.map(({ source }) => source)).toContain(`${directory}/b.yaml:7`);
    expect(problems(policies)).toEqual([]);
  });

  it('is unknown while it is absent, and keeps what it held', async () => {
    put('a.yaml', policy('one'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    renameSync(directory, `${directory}.away`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3 incomplete');
    expect(policies.current.set.why).toContain(`${directory} cannot be read: ENOENT`);
    renameSync(`${directory}.away`, directory);
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
  });

  it('is unknown when it is a file', async () => {
    rmSync(directory, { recursive: true });
    writeFileSync(directory, policy('one'));
    expect((await open()).current.set).toMatchObject({ complete: false, why: expect.stringContaining('ENOTDIR') });
  });

  it('is unknown over a restart while it is absent', async () => {
    put('a.yaml', policy('one'));
    await (await open()).close();
    rmSync(directory, { recursive: true });
    expect(inForce(await open())).toBe('one=15b3 incomplete');
  });

  it('takes changes and additions at once', async () => {
    put('a.yaml', policy('one'));
    const policies = await open();
    put('a.yaml', policy('one', '8086'));
    put('b.yaml', policy('two'));
    await policies.look();
    expect(inForce(policies)).toBe('one=8086 two=15b3');
  });

  it('forgets a policy only when its file is gone twice, some time apart', async () => {
    put('a.yaml', policy('one'));
    put('b.yaml', policy('two'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    drop('a.yaml');
    await policies.look();
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    await clock.advance(999);
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    await clock.advance(1);
    await policies.look();
    expect(inForce(policies)).toBe('two=15b3');
    drop('b.yaml');
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('');
  });

  it('is not misled by a file that is empty or away for a moment', async () => {
    put('a.yaml', policy('one'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    put('a.yaml', '');
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    put('a.yaml', policy('one', '8086'));
    await clock.advance(5_000);
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
    put('a.yaml', '');
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('');
  });

  it('keeps the last good version of a bad file, reports it until it is right, over restarts too', async () => {
    put('a.yaml', policy('one'));
    put('b.yaml', policy('two'));
    const clock = createVirtualClock();
    const first = await open(clock);
    put('a.yaml', policy('one', '15B3'));
    await lookTwice(first, clock);
    expect(inForce(first)).toBe('one=15b3 two=15b3');
    expect(problems(first)).toEqual(['a.yaml:5 spec.devices[0].vendor']);
    await first.close();

    const second = await open(clock);
    expect(inForce(second)).toBe('one=15b3 two=15b3');
    expect(problems(second)).toEqual(['a.yaml:5 spec.devices[0].vendor']);
    await lookTwice(second, clock);
    put('a.yaml', policy('one', '8086'));
    await second.look();
    expect(inForce(second)).toBe('one=8086 two=15b3');
    expect(problems(second)).toEqual([]);
  });

  it('releases nothing while a file was never read as policies and nothing is known of the time before', async () => {
    put('a.yaml', 'kind: [');
    put('b.yaml', policy('two'));
    const first = await open();
    expect(inForce(first)).toBe('two=15b3 incomplete');
    expect(first.current.set.why).toContain('no good version of a.yaml is known');
    await first.close();
    const second = await open();
    expect(inForce(second)).toBe('two=15b3 incomplete');
    put('a.yaml', policy('one'));
    await second.look();
    expect(inForce(second)).toBe('one=15b3 two=15b3');
  });

  it('is not held up by a new file that is bad from its beginning', async () => {
    put('a.yaml', policy('one'));
    const policies = await open();
    put('b.yaml', 'kind: [');
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(problems(policies)).toEqual(['b.yaml:1']);
  });

  it('does not take a policy for gone that may stand in a bad file now', async () => {
    put('a.yaml', policy('one'));
    put('b.yaml', policy('two'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    drop('a.yaml');
    put('b.yaml', `${policy('two')}---\n${policy('one', '15B3')}`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    put('b.yaml', `${policy('two')}---\n${policy('one', '8086')}`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=8086 two=15b3');
    put('b.yaml', policy('two'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('two=15b3');
  });

  it('leaves a name to the file that had it', async () => {
    put('b.yaml', policy('one'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    put('a.yaml', policy('one', '8086'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3');
    expect(problems(policies)).toEqual(['a.yaml:1 metadata.name']);
    expect(policies.current.problems[0]?.message).toContain(`already, in ${directory}/b.yaml, line 1`);
    drop('b.yaml');
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
    expect(problems(policies)).toEqual([]);
  });

  it('gives a new name that two files claim to the first', async () => {
    put('b.yaml', `${policy('one')}---\n${policy('two')}`);
    put('a.yaml', policy('one', '8086'));
    const policies = await open();
    expect(inForce(policies)).toBe('one=8086 incomplete');
    expect(problems(policies)).toEqual(['b.yaml:1 metadata.name']);
  });

  it('follows a file that is renamed', async () => {
    put('a.yaml', policy('one'));
    const policies = await open();
    renameSync(join(directory, 'a.yaml'), join(directory, 'z.yaml'));
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.set.policies[0]?.source).toBe(`${directory}/z.yaml:1`);
  });

  it("reads kubelet's volumes, and their changes", async () => {
    const publishVersion = (version: string, text: string): void => {
      mkdirSync(join(directory, version));
      put(`${version}/a.yaml`, text);
      symlinkSync(version, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    publishVersion('..2026_1', policy('one'));
    symlinkSync('..data/a.yaml', join(directory, 'a.yaml'));
    const policies = await open();
    expect(inForce(policies)).toBe('one=15b3');
    publishVersion('..2026_2', policy('one', '8086'));
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
  });

  it('reports a link that leads nowhere and keeps what it led to', async () => {
    writeFileSync(join(home, 'elsewhere'), policy('one'));
    symlinkSync(join(home, 'elsewhere'), join(directory, 'a.yaml'));
    const clock = createVirtualClock();
    const policies = await open(clock);
    rmSync(join(home, 'elsewhere'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ line: 0, message: 'cannot be read: ENOENT' }]);
  });

  it('reports a file that may not be read', async () => {
    put('a.yaml', policy('one'));
    let forbidden = false;
    const real = createFiles();
    const readText: typeof real.readText = (path, maxBytes) => {
      if (forbidden && path.endsWith('/a.yaml')) throw new FileError('read', path, 'EACCES');
      return real.readText(path, maxBytes);
    };
    const policies = await open(createVirtualClock(), () => {}, { ...real, readText });
    forbidden = true;
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ line: 0, message: 'cannot be read: EACCES' }]);
  });

  it('refuses a file that is too long', async () => {
    put('a.yaml', `${policy('one')}# ${'x'.repeat(1024 * 1024)}\n`);
    expect((await open()).current.problems).toMatchObject([{ message: expect.stringContaining('longer than') }]);
  });

  it('says that the kept versions are damaged, and goes on without them', async () => {
    put('a.yaml', policy('one'));
    await (await open()).close();
    const keptFile = join(home, 'state', 'policies.json');
    writeFileSync(keptFile, readFileSync(keptFile, 'utf8').slice(0, -10));
    const policies = await open();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ file: keptFile, message: expect.stringContaining('damaged') }]);
    await policies.look();
    expect(problems(policies)).toEqual([]);
  });

  it('takes kept versions that this version would refuse for unknown', async () => {
    put('a.yaml', policy('one'));
    await (await open()).close();
    const keptFile = join(home, 'state', 'policies.json');
    writeFileSync(keptFile, readFileSync(keptFile, 'utf8').replace('15b3', '15B3'));
    put('a.yaml', 'kind: [');
    expect(inForce(await open())).toBe('incomplete');
  });

  it('does not take what another directory held for what this one held', async () => {
    put('a.yaml', policy('one'));
    await (await open()).close();
    directory = join(home, 'others');
    mkdirSync(directory);
    put('a.yaml', 'kind: [');
    expect(inForce(await open())).toBe('incomplete');
  });

  it('acts on policies that it cannot keep, and says so', async () => {
    put('a.yaml', policy('one'));
    rmSync(join(home, 'state'), { recursive: true });
    const policies = await open();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([
      { message: expect.stringContaining('cannot keep the last good') },
    ]);
    mkdirSync(join(home, 'state'));
    await policies.look();
    expect(problems(policies)).toEqual([]);
  });

  it('tells of every change once, and of nothing when nothing changed', async () => {
    const told: string[] = [];
    const clock = createVirtualClock();
    const policies = await open(clock, ({ set }) => told.push(set.policies.map(({ name }) => name).join(' ')));
    await policies.look();
    put('a.yaml', policy('one'));
    await policies.look();
    await policies.look();
    put('a.yaml', `# a comment\n${policy('one')}`);
    await policies.look();
    expect(told).toEqual(['one', 'one']);
  });

  it('looks again by itself without a watch', async () => {
    const clock = createVirtualClock();
    const told: PolicySnapshot[] = [];
    const files = { ...createFiles(), watch: () => ({ close: () => {} }) };
    const policies = await open(clock, (it) => told.push(it), files);
    put('a.yaml', policy('one'));
    await clock.advance(9_999);
    expect(told.length).toBe(0);
    await clock.advance(1);
    await policies.look();
    expect(told.length).toBe(1);
  });

  it('is told by the watch, also after the directory was replaced', async () => {
    const waiting: ((snapshot: PolicySnapshot) => void)[] = [];
    const changed = (): Promise<PolicySnapshot> => new Promise((resolve) => waiting.push(resolve));
    const policies = await open(createClock(), (snapshot) => waiting.shift()?.(snapshot));
    const first = changed();
    put('a.yaml', policy('one'));
    expect((await first).set.policies.map(({ name }) => name)).toEqual(['one']);

    const other = join(home, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'a.yaml'), policy('one'));
    renameSync(directory, `${directory}.old`);
    renameSync(other, directory);
    await policies.look();
    const second = changed();
    put('b.yaml', policy('two'));
    expect((await second).set.policies.map(({ name }) => name)).toEqual(['one', 'two']);
  });
});

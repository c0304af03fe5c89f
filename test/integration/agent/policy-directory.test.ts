import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { PolicySnapshot } from '../../../src/agent/policy-directory.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { createPolicyHome, inForce, lookTwice, policyText, problemsOf } from '../../support/policy-home.ts';
import type { PolicyHome } from '../../support/policy-home.ts';

let home: PolicyHome;
beforeEach(() => {
  home = createPolicyHome();
});
afterEach(() => home.close());

describe('a directory of policy files', () => {
  it('is complete and empty when it is empty', async () => {
    const policies = await home.open();
    expect(policies.current).toEqual({ set: { complete: true, policies: [], why: null }, problems: [] });
  });

  it('holds the policies of all its files, and none of what is no policy file', async () => {
    home.put('b.yaml', `${policyText('two')}---\n${policyText('three', '8086')}`);
    home.put('a.yml', policyText('one', '10de'));
    home.put(
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
      home.put(name, ': not: yaml [');
    mkdirSync(join(home.directory, 'folder.yaml'));
    const policies = await home.open();
    expect(inForce(policies)).toBe('four=1002 one=10de three=8086 two=15b3');
    expect(policies.current.set.policies.map(({ source }) => source)).toContain(`${home.directory}/b.yaml:7`);
    expect(problemsOf(policies)).toEqual([]);
  });

  it('is unknown while it is absent, and keeps what it held', async () => {
    home.put('a.yaml', policyText('one'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    renameSync(home.directory, `${home.directory}.away`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3 incomplete');
    expect(policies.current.set.why).toContain(`${home.directory} cannot be read: ENOENT`);
    renameSync(`${home.directory}.away`, home.directory);
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
  });

  it('is unknown when it is a file', async () => {
    rmSync(home.directory, { recursive: true });
    writeFileSync(home.directory, policyText('one'));
    expect((await home.open()).current.set).toMatchObject({ complete: false, why: expect.stringContaining('ENOTDIR') });
  });

  it('is unknown over a restart while it is absent', async () => {
    home.put('a.yaml', policyText('one'));
    await (await home.open()).close();
    rmSync(home.directory, { recursive: true });
    expect(inForce(await home.open())).toBe('one=15b3 incomplete');
  });

  it('takes changes and additions at once', async () => {
    home.put('a.yaml', policyText('one'));
    const policies = await home.open();
    home.put('a.yaml', policyText('one', '8086'));
    home.put('b.yaml', policyText('two'));
    await policies.look();
    expect(inForce(policies)).toBe('one=8086 two=15b3');
  });

  it('forgets a policy only when its file is gone twice, some time apart', async () => {
    home.put('a.yaml', policyText('one'));
    home.put('b.yaml', policyText('two'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    home.drop('a.yaml');
    await policies.look();
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    await clock.advance(999);
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    await clock.advance(1);
    await policies.look();
    expect(inForce(policies)).toBe('two=15b3');
    home.drop('b.yaml');
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('');
  });

  it('is not misled by a file that is empty or away for a moment', async () => {
    home.put('a.yaml', policyText('one'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    home.put('a.yaml', '');
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    home.put('a.yaml', policyText('one', '8086'));
    await clock.advance(5_000);
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
    home.put('a.yaml', '');
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('');
  });

  it('follows a file that is renamed', async () => {
    home.put('a.yaml', policyText('one'));
    const policies = await home.open();
    renameSync(join(home.directory, 'a.yaml'), join(home.directory, 'z.yaml'));
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.set.policies[0]?.source).toBe(`${home.directory}/z.yaml:1`);
  });

  it("reads kubelet's volumes, and their changes", async () => {
    const publishVersion = (version: string, text: string): void => {
      mkdirSync(join(home.directory, version));
      home.put(`${version}/a.yaml`, text);
      symlinkSync(version, join(home.directory, '..data_tmp'));
      renameSync(join(home.directory, '..data_tmp'), join(home.directory, '..data'));
    };
    publishVersion('..2026_1', policyText('one'));
    symlinkSync('..data/a.yaml', join(home.directory, 'a.yaml'));
    const policies = await home.open();
    expect(inForce(policies)).toBe('one=15b3');
    publishVersion('..2026_2', policyText('one', '8086'));
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
  });

  it('tells of every change once, and of nothing when nothing changed', async () => {
    const told: string[] = [];
    const clock = createVirtualClock();
    const policies = await home.open({
      clock,
      onChange: ({ set }) => told.push(set.policies.map(({ name }) => name).join(' ')),
    });
    await policies.look();
    home.put('a.yaml', policyText('one'));
    await policies.look();
    await policies.look();
    home.put('a.yaml', `# a comment\n${policyText('one')}`);
    await policies.look();
    expect(told).toEqual(['one', 'one']);
  });

  it('looks again by itself without a watch', async () => {
    const clock = createVirtualClock();
    const told: PolicySnapshot[] = [];
    const files = { ...createFiles(), watch: () => ({ close: () => {} }) };
    const policies = await home.open({ clock, onChange: (it) => told.push(it), files });
    home.put('a.yaml', policyText('one'));
    await clock.advance(9_999);
    expect(told.length).toBe(0);
    await clock.advance(1);
    await policies.look();
    expect(told.length).toBe(1);
  });

  it('is told by the watch, also after the directory was replaced', async () => {
    const waiting: ((snapshot: PolicySnapshot) => void)[] = [];
    const changed = (): Promise<PolicySnapshot> => new Promise((resolve) => waiting.push(resolve));
    const policies = await home.open({ clock: createClock(), onChange: (snapshot) => waiting.shift()?.(snapshot) });
    const first = changed();
    home.put('a.yaml', policyText('one'));
    expect((await first).set.policies.map(({ name }) => name)).toEqual(['one']);

    const other = join(home.path, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'a.yaml'), policyText('one'));
    renameSync(home.directory, `${home.directory}.old`);
    renameSync(other, home.directory);
    await policies.look();
    const second = changed();
    home.put('b.yaml', policyText('two'));
    expect((await second).set.policies.map(({ name }) => name)).toEqual(['one', 'two']);
  });
});

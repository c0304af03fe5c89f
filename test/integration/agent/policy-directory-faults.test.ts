import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { createPolicyHome, inForce, lookTwice, policyText, problemsOf } from '../../support/policy-home.ts';
import type { PolicyHome } from '../../support/policy-home.ts';

let home: PolicyHome;
beforeEach(() => {
  home = createPolicyHome();
});
afterEach(() => home.close());

describe('a directory with bad policy files', () => {
  it('keeps the last good version of a bad file, reports it until it is right, over restarts too', async () => {
    home.put('a.yaml', policyText('one'));
    home.put('b.yaml', policyText('two'));
    const clock = createVirtualClock();
    const first = await home.open({ clock });
    home.put('a.yaml', policyText('one', '15B3'));
    await lookTwice(first, clock);
    expect(inForce(first)).toBe('one=15b3 two=15b3');
    expect(problemsOf(first)).toEqual(['a.yaml:5 spec.devices[0].vendor']);
    await first.close();

    const second = await home.open({ clock });
    expect(inForce(second)).toBe('one=15b3 two=15b3');
    expect(problemsOf(second)).toEqual(['a.yaml:5 spec.devices[0].vendor']);
    await lookTwice(second, clock);
    home.put('a.yaml', policyText('one', '8086'));
    await second.look();
    expect(inForce(second)).toBe('one=8086 two=15b3');
    expect(problemsOf(second)).toEqual([]);
  });

  it('releases nothing while a file was never read as policies and nothing is known of the time before', async () => {
    home.put('a.yaml', 'kind: [');
    home.put('b.yaml', policyText('two'));
    const first = await home.open();
    expect(inForce(first)).toBe('two=15b3 incomplete');
    expect(first.current.set.why).toContain('no good version of a.yaml is known');
    await first.close();
    const second = await home.open();
    expect(inForce(second)).toBe('two=15b3 incomplete');
    home.put('a.yaml', policyText('one'));
    await second.look();
    expect(inForce(second)).toBe('one=15b3 two=15b3');
  });

  it('is not held up by a new file that is bad from its beginning', async () => {
    home.put('a.yaml', policyText('one'));
    const policies = await home.open();
    home.put('b.yaml', 'kind: [');
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(problemsOf(policies)).toEqual(['b.yaml:1']);
  });

  it('does not take a policy for gone that may stand in a bad file now', async () => {
    home.put('a.yaml', policyText('one'));
    home.put('b.yaml', policyText('two'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    home.drop('a.yaml');
    home.put('b.yaml', `${policyText('two')}---\n${policyText('one', '15B3')}`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3 two=15b3');
    home.put('b.yaml', `${policyText('two')}---\n${policyText('one', '8086')}`);
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=8086 two=15b3');
    home.put('b.yaml', policyText('two'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('two=15b3');
  });

  it('leaves a name to the file that had it', async () => {
    home.put('b.yaml', policyText('one'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    home.put('a.yaml', policyText('one', '8086'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3');
    expect(problemsOf(policies)).toEqual(['a.yaml:1 metadata.name']);
    expect(policies.current.problems[0]?.message).toContain(`already, in ${home.directory}/b.yaml, line 1`);
    home.drop('b.yaml');
    await policies.look();
    expect(inForce(policies)).toBe('one=8086');
    expect(problemsOf(policies)).toEqual([]);
  });

  it('gives a new name that two files claim to the first', async () => {
    home.put('b.yaml', `${policyText('one')}---\n${policyText('two')}`);
    home.put('a.yaml', policyText('one', '8086'));
    const policies = await home.open();
    expect(inForce(policies)).toBe('one=8086 incomplete');
    expect(problemsOf(policies)).toEqual(['b.yaml:1 metadata.name']);
  });

  it('reports a link that leads nowhere and keeps what it led to', async () => {
    writeFileSync(join(home.path, 'elsewhere'), policyText('one'));
    symlinkSync(join(home.path, 'elsewhere'), join(home.directory, 'a.yaml'));
    const clock = createVirtualClock();
    const policies = await home.open({ clock });
    rmSync(join(home.path, 'elsewhere'));
    await lookTwice(policies, clock);
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ line: 0, message: 'cannot be read: ENOENT' }]);
  });

  it('reports a file that may not be read', async () => {
    home.put('a.yaml', policyText('one'));
    let forbidden = false;
    const real = createFiles();
    const readText: typeof real.readText = (path, maxBytes) => {
      if (forbidden && path.endsWith('/a.yaml')) throw new FileError('read', path, 'EACCES');
      return real.readText(path, maxBytes);
    };
    const policies = await home.open({ files: { ...real, readText } });
    forbidden = true;
    await policies.look();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ line: 0, message: 'cannot be read: EACCES' }]);
  });

  it('refuses a file that is too long', async () => {
    home.put('a.yaml', `${policyText('one')}# ${'x'.repeat(256 * 1024)}\n`);
    expect((await home.open()).current.problems).toMatchObject([{ message: expect.stringContaining('longer than') }]);
  });

  it('says that the kept versions are damaged, and goes on without them', async () => {
    home.put('a.yaml', policyText('one'));
    await (await home.open()).close();
    const keptFile = home.keptFile;
    writeFileSync(keptFile, readFileSync(keptFile, 'utf8').slice(0, -10));
    const policies = await home.open();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([{ file: keptFile, message: expect.stringContaining('damaged') }]);
    await policies.look();
    expect(problemsOf(policies)).toEqual([]);
  });

  it('takes kept versions that this version would refuse for unknown', async () => {
    home.put('a.yaml', policyText('one'));
    await (await home.open()).close();
    const keptFile = home.keptFile;
    writeFileSync(keptFile, readFileSync(keptFile, 'utf8').replace('15b3', '15B3'));
    home.put('a.yaml', 'kind: [');
    expect(inForce(await home.open())).toBe('incomplete');
  });

  it('does not take what another directory held for what this one held', async () => {
    home.put('a.yaml', policyText('one'));
    await (await home.open()).close();
    const directory = join(home.path, 'others');
    mkdirSync(directory);
    writeFileSync(join(directory, 'a.yaml'), 'kind: [');
    expect(inForce(await home.open({ directory }))).toBe('incomplete');
  });

  it('acts on policies that it cannot keep, and says so', async () => {
    home.put('a.yaml', policyText('one'));
    rmSync(join(home.path, 'state'), { recursive: true });
    const policies = await home.open();
    expect(inForce(policies)).toBe('one=15b3');
    expect(policies.current.problems).toMatchObject([
      { message: expect.stringContaining('cannot keep the last good') },
    ]);
    mkdirSync(join(home.path, 'state'));
    await policies.look();
    expect(problemsOf(policies)).toEqual([]);
  });
});

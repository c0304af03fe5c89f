// The unit file of the agent as a host service: systemd takes it, it names only flags and variables that exist, and it comes before kubelet.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { agentCommand } from '../../../src/agent/config.ts';

const name = 'vfio-operator-agent.service';
const text = readFileSync(resolve(import.meta.dirname, '../../../deploy/systemd', name), 'utf8');
const systemdAnalyze = '/usr/bin/systemd-analyze';

/** Every `Key=Value` with its section. */
const settings = (() => {
  let section = '';
  return text.split('\n').flatMap((line) => {
    section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section;
    const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    return key === '' ? [] : [{ section, key, value }];
  });
})();
const valuesOf = (key: string): readonly string[] =>
  settings.filter((one) => one.key === key).map(({ value }) => value);

test('every line is a comment, a section or a setting, each setting in the section it belongs to', () => {
  const odd = text.split('\n').filter((line) => !/^(#.*|\[(Unit|Service|Install)\]|\w+=.*|)$/.test(line));
  expect(odd).toEqual([]);
  const ofService = settings.filter(({ key }) => /^(Exec|Restart|Timeout|Kill|Environment|Type)/.test(key));
  expect(ofService.filter(({ key, section }) => section !== 'Service' && !key.startsWith('Restrict'))).toEqual([]);
  expect(settings.filter(({ key, section }) => key === 'Before' && section !== 'Unit')).toEqual([]);
});

test('the agent runs before kubelet, again after every end, and leaves a hung kernel write alone', () => {
  expect(valuesOf('Before')).toEqual(['kubelet.service']);
  expect(valuesOf('WantedBy')).toContain('kubelet.service');
  expect([valuesOf('Restart'), valuesOf('StartLimitIntervalSec'), valuesOf('KillMode')]).toEqual([
    ['always'],
    ['0'],
    ['process'],
  ]);
  // What holds kubelet back must end by itself, sooner than systemd loses its patience.
  const [hold = ''] = valuesOf('ExecStartPost');
  expect(hold).toMatch(/^-\/usr\/bin\/timeout 90 /);
  expect(Number(valuesOf('TimeoutStartSec')[0])).toBeGreaterThan(90);
});

test('it names only flags and variables that the agent has', () => {
  const { options } = agentCommand(() => Promise.resolve());
  const flags = new Set(options.map((option) => option.long));
  const variables = new Set(options.map((option) => option.envVar));
  const [start = ''] = valuesOf('ExecStart');
  const [, own = ''] = start.split(' agent');
  for (const [flag] of own.matchAll(/--[a-z-]+/g)) expect(flags).toContain(flag);
  for (const value of valuesOf('Environment')) expect(variables).toContain(value.split('=')[0]);
  expect(valuesOf('Environment')).toContain('VFIO_OPERATOR_KUBECONFIG=/etc/kubernetes/kubelet.conf');
});

test.skipIf(!existsSync(systemdAnalyze))('systemd finds nothing wrong with it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'unit-'));
  try {
    const file = join(directory, name);
    // The programs are not installed here.
    writeFileSync(file, text.replaceAll('/opt/vfio-operator/bin/node', process.execPath));
    const { status, stdout, stderr } = spawnSync(
      systemdAnalyze,
      ['verify', '--man=no', '--recursive-errors=no', file],
      {
        encoding: 'utf8',
      },
    );
    expect([status, stdout, stderr]).toEqual([0, '', '']);
    writeFileSync(file, text.replace('Restart=always', 'Restart=sometimes'));
    const broken = spawnSync(systemdAnalyze, ['verify', '--man=no', '--recursive-errors=no', file], {
      encoding: 'utf8',
    });
    expect(`${broken.stdout}${broken.stderr}`).toMatch(/restart specifier/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

// The program on the machine the tests run on, whatever that is: it only reads, needs no root, and ends with the documented codes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSockets } from '../../../src/runtime/sockets-adapter.ts';
import { runCli, startCli } from '../../support/run-cli.ts';

let state: string;
beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), 'cli-state-'));
});
afterAll(() => rmSync(state, { recursive: true, force: true }));

const modalias = 'pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00';
const aliases = 'test/fixtures/modules.alias-vfio-variants';
const readOnly: readonly (readonly string[])[] = [
  ['devices'],
  ['devices', '-o', 'json'],
  ['match', modalias],
  ['plan'],
  ['status'],
];

describe('reading', () => {
  test.each(readOnly.map((args) => [args.join(' '), args] as const))('%s ends with 0', (_name, args) => {
    const { code, stdout, stderr } = runCli([...args, ...(args[0] === 'plan' ? ['--state', state] : [])]);
    expect(stderr).not.toContain('failed');
    expect({ code, spoke: stdout.length > 0 }).toEqual({ code: 0, spoke: true });
  });

  test.runIf(process.getuid?.() === 0).each(readOnly.map((args) => [args.join(' '), args] as const))(
    '%s ends with 0 for an ordinary user',
    (_name, args) => {
      const { code, stdout, stderr } = runCli(args, { user: 65_534 });
      expect(stderr).not.toContain('failed');
      expect({ code, spoke: stdout.length > 0 }).toEqual({ code: 0, spoke: true });
    },
  );

  test('devices prints every PCI device there is', () => {
    const { stdout } = runCli(['devices', '-o', 'json']);
    const answer = JSON.parse(stdout) as { devices: { address: string }[]; unread: unknown[] };
    expect(Array.isArray(answer.unread)).toBe(true);
    for (const { address } of answer.devices) expect(address).not.toBe('');
  });

  test('match reads a modules.alias that somebody brings', () => {
    const { stdout, code } = runCli(['match', modalias, '-o', 'json', '--aliases', aliases]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ modalias, chosen: { module: 'mlx5_vfio_pci', wildcards: 5 } });
  });

  test('match lets the aliases of policies compete', () => {
    const policies = mkdtempSync(join(tmpdir(), 'cli-policies-'));
    writeFileSync(
      `${policies}/a.json`,
      JSON.stringify({
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioPolicy',
        metadata: { name: 'a' },
        spec: {
          devices: [{ vendor: '15b3' }],
          driver: {
            aliases: [{ pattern: 'vfio_pci:v000015B3d0000101Esv000015B3sd*bc*sc*i*', module: 'mlx5_vfio_pci' }],
          },
        },
      }),
    );
    const { stdout, stderr } = runCli(['match', modalias, '-o', 'json', '--policies', policies, '--aliases', aliases]);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ chosen: { origin: 'policy', wildcards: 4, line: 1 } });
    rmSync(policies, { recursive: true });
  });
});

describe('the command line', () => {
  test('lists every program in its help, a line each', () => {
    const { code, stdout } = runCli(['--help']);
    expect(code).toBe(0);
    for (const name of ['agent', 'demo', 'devices', 'match', 'plan', 'explain', 'status', 'release'])
      expect(stdout).toMatch(new RegExp(`^  ${name}( <\\w+>)? {2,}\\S`, 'm'));
    expect(stdout).toContain('Exit codes');
  });

  test('prints its version', () => {
    expect(runCli(['--version'])).toMatchObject({ code: 0, stdout: '0.1.0\n' });
  });

  test('suggests the right word for a wrong one and ends with 2', () => {
    const { code, stderr, stdout } = runCli(['explian', 'x']);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Did you mean explain?');
  });

  test.each([
    [['match']],
    [['match', ' ']],
    [['devices', '-o', 'xml']],
    [['devices', '--root', '/nowhere/at/all']],
    [['match', modalias, '--aliases', '/nowhere/at/all']],
    [['plan', '--node-labels', 'gpu']],
    [['release', '0000:01:00.0', '--root', '/']],
  ])('ends with 2 for %j', (args) => {
    const { code, stderr, stdout } = runCli(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).not.toBe('');
  });

  test('uses colour on a terminal alone', () => {
    expect(runCli(['devices']).stdout).not.toContain('\u001B');
  });
});

describe('status and release', () => {
  test('status tells that no agent runs', () => {
    const { code, stdout } = runCli(['status', '--state', state, '-o', 'json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ running: false, agent: null, lastState: null, unread: [] });
  });

  test('both ask the agent that is there', async () => {
    const asked: string[] = [];
    const server = await createSockets().listen(`${state}/control.sock`, (line) => {
      asked.push(line);
      const data = { decisions: [], resources: [] };
      const answer = line.includes('release')
        ? { ok: false, message: 'policy gpus wants it' }
        : { ok: true, message: 'running', data };
      return Promise.resolve(JSON.stringify(answer));
    });
    const status = await startCli(['status', '--state', state]);
    const release = await startCli(['release', '3B:00.0', '--state', state]);
    await server.close();
    expect(status).toMatchObject({ code: 0 });
    expect(status.stdout).toContain('The agent is running: running.');
    expect(release).toEqual({ code: 1, stdout: '', stderr: 'policy gpus wants it\n' });
    expect(asked.map((line) => JSON.parse(line) as unknown)).toEqual([
      { command: 'status' },
      { command: 'release', address: '0000:3b:00.0' },
    ]);
  });

  test('release without an agent has to know which policies are in force', () => {
    const { code, stderr } = runCli(['release', '0000:01:00.0', '--state', state]);
    expect(code).toBe(2);
    expect(stderr).toContain('--policies');
  });

  test('release says that there is nothing to give back where nothing was taken', () => {
    const absent = runCli(['release', '0000:01:00.0', '--state', `${state}/absent`]);
    expect(absent.code).toBe(1);
    expect(absent.stderr).toContain('took nothing');
  });
});

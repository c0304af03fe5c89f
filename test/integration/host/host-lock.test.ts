// The lock between real processes: whatever the race, one writer at every moment.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireHostLock, askOwner, type HostLock, type LockOutcome } from '../../../src/host/host-lock.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import { createProcesses } from '../../../src/runtime/processes-adapter.ts';
import { createSockets } from '../../../src/runtime/sockets-adapter.ts';

const files = createFiles();
const sockets = createSockets();
const { self } = createProcesses();
let directory: string;
const held: HostLock[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const lock of held.splice(0)) if (lock.isHeld()) await lock.release();
  rmSync(directory, { recursive: true, force: true });
});

async function acquire(parts: Partial<Parameters<typeof acquireHostLock>[0]> = {}): Promise<LockOutcome> {
  const outcome = await acquireHostLock({
    files,
    sockets,
    self,
    directory,
    proc: '/proc',
    bootId: 'boot-1',
    program: 'agent',
    answer: (request) =>
      request.command === 'status'
        ? Promise.resolve({ ok: true, message: 'well', data: { pid: self.pid } })
        : Promise.reject(new Error(`no ${request.address} here`)),
    ...parts,
  });
  if (outcome.outcome === 'Held') held.push(outcome.lock);
  return outcome;
}

const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** A process that tries once, prints what came of it, and keeps what it got until it is killed. */
function starter(): { readonly child: ChildProcess; readonly outcome: Promise<string> } {
  const program = `
    import { acquireHostLock } from ${url('../../../src/host/host-lock.ts')};
    import { createFiles } from ${url('../../../src/runtime/files-adapter.ts')};
    import { createProcesses } from ${url('../../../src/runtime/processes-adapter.ts')};
    import { createSockets } from ${url('../../../src/runtime/sockets-adapter.ts')};
    const outcome = await acquireHostLock({
      files: createFiles(), sockets: createSockets(), self: createProcesses().self, directory: ${JSON.stringify(directory)},
      proc: '/proc', bootId: 'boot-1', program: 'agent', answer: async () => ({ ok: true, message: 'well' }),
    });
    console.log(outcome.outcome);
    if (outcome.outcome === 'Held') setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const outcome = new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.endsWith('\n')) resolve(text.trim());
    });
    child.on('close', () => reject(new Error('ended without a word')));
  });
  return { child, outcome };
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => void child.on('exit', () => resolve()));
}

describe('host lock', () => {
  it('is held by one, named to the other, and passed on when given back', async () => {
    const first = await acquire();
    expect(first.outcome).toBe('Held');
    const second = await acquire({ program: 'release' });
    expect(second).toMatchObject({ outcome: 'Taken', owner: { pid: self.pid, program: 'agent' } });
    if (first.outcome === 'Held') {
      expect(first.lock.isHeld()).toBe(true);
      await first.lock.release();
      expect(first.lock.isHeld()).toBe(false);
    }
    expect((await acquire()).outcome).toBe('Held');
  });

  it('is not left to a dead owner: of another boot, or whose pid belongs to another process now', async () => {
    await acquire();
    expect((await acquire({ bootId: 'boot-2' })).outcome).toBe('Held');
    const reused = { ...self, startTime: '1' };
    expect((await acquire({ bootId: 'boot-2', self: reused })).outcome).toBe('Taken');
    const other = mkdtempSync(join(tmpdir(), 'lock-'));
    await acquire({ directory: other, self: reused });
    expect((await acquire({ directory: other })).outcome).toBe('Held');
    rmSync(other, { recursive: true });
  });

  it('asks the socket where pids mean nothing', async () => {
    const elsewhere = {
      ...files,
      readLink: (path: string) => (path.endsWith('/ns/pid') ? 'pid:[1]' : files.readLink(path)),
    };
    const first = await acquire();
    expect((await acquire({ files: elsewhere })).outcome).toBe('Taken');
    if (first.outcome === 'Held') await first.lock.release();
    expect((await acquire({ files: elsewhere })).outcome).toBe('Held');
  });

  it('is given back without a word where the disk takes no file: whoever comes next finds its owner dead', async () => {
    const full = {
      ...files,
      createExclusive: (path: string, text: string) =>
        path.endsWith('lock.1')
          ? files.createExclusive(path, text)
          : Promise.reject(new FileError('create', path, 'ENOSPC')),
    };
    // As of another boot: for the next one this process is over.
    const outcome = await acquire({ files: full });
    if (outcome.outcome !== 'Held') throw new Error('not held');
    await outcome.lock.release();
    expect(outcome.lock.isHeld()).toBe(false);
    expect((await acquire({ bootId: 'boot-2' })).outcome).toBe('Held');
  });

  it('is lost with its file, and the owner sees it', async () => {
    const outcome = await acquire();
    for (const name of readdirSync(directory)) if (name.startsWith('lock.')) rmSync(join(directory, name));
    expect(outcome.outcome === 'Held' && outcome.lock.isHeld()).toBe(false);
  });

  it('answers on the control socket', async () => {
    await expect(askOwner(sockets, directory, { command: 'status' })).rejects.toMatchObject({ code: 'ENOENT' });
    await acquire();
    expect(await askOwner(sockets, directory, { command: 'status' })).toEqual({
      ok: true,
      message: 'well',
      data: { pid: self.pid },
    });
    expect(await askOwner(sockets, directory, { command: 'release', address: 'x' })).toEqual({
      ok: false,
      message: 'no x here',
    });
    const nonsense = await sockets.ask(join(directory, 'control.sock'), '{"command":"format"}', 1000);
    expect(JSON.parse(nonsense)).toMatchObject({
      ok: false,
      message: expect.stringContaining('not a request') as string,
    });
  });

  it('keeps the directory small', async () => {
    for (let i = 0; i < 40; i += 1) {
      const outcome = await acquire();
      if (outcome.outcome === 'Held') await outcome.lock.release();
    }
    expect(readdirSync(directory).length).toBeLessThan(24);
  });

  it('goes to exactly one of many starters, also over the dead body of an owner, again and again', async () => {
    let last: ChildProcess | null = null;
    for (let round = 0; round < 3; round += 1) {
      if (last !== null) {
        const gone = ended(last);
        last.kill('SIGKILL');
        await gone;
      }
      const starters = Array.from({ length: 6 }, starter);
      const outcomes = await Promise.all(starters.map((one) => one.outcome));
      expect(outcomes.toSorted()).toEqual(['Held', ...Array.from({ length: 5 }, () => 'Taken')]);
      last = starters[outcomes.indexOf('Held')]?.child ?? null;
    }
  });

  it('goes to exactly one of many tries that interleave at every await', async () => {
    const holders = new Set<number>();
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        for (let turn = 0; turn < 10; turn += 1) {
          const outcome = await acquire({ self });
          if (outcome.outcome === 'Taken') continue;
          holders.add(i);
          most = Math.max(most, holders.size);
          await new Promise((resolve) => setTimeout(resolve, 1));
          holders.delete(i);
          await outcome.lock.release();
        }
      }),
    );
    expect(most).toBe(1);
  });
});

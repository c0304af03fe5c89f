// The real machine behind the ports: what the simulated one must do too.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import { createProcesses } from '../../../src/runtime/processes-adapter.ts';
import { isAlive, parseProcessStatus } from '../../../src/runtime/process-status.ts';
import { createRandom } from '../../../src/runtime/random-adapter.ts';
import { createSockets } from '../../../src/runtime/sockets-adapter.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'adapters-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function errnoOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
  return 'none';
}

describe('files', () => {
  const files = createFiles();

  it('reads text to the end, whatever stat says, and no more than asked', () => {
    const path = join(directory, 'a');
    writeFileSync(path, 'x'.repeat(200_000));
    expect(files.readText(path)).toHaveLength(200_000);
    expect(files.readText(path, 70_000)).toHaveLength(70_000);
    expect(files.readText('/proc/self/stat')).toContain('(');
    const text = `x${'é'.repeat(50_000)}`;
    writeFileSync(path, text);
    expect(files.readText(path) === text, 'a letter that lies across two reads is whole').toBe(true);
  });

  it('leave no buffers behind, however many files are read', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let read = 0; read < 1000; read += 1) files.readText('/proc/version');
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024);
  });

  it('reads bytes at an offset, fewer at the end', () => {
    const path = join(directory, 'a');
    writeFileSync(path, Uint8Array.of(1, 2, 3, 4, 5));
    expect([...files.readBytes(path, 1, 2)]).toEqual([2, 3]);
    expect([...files.readBytes(path, 3, 10)]).toEqual([4, 5]);
  });

  it('names the errno and the path', () => {
    expect(errnoOf(() => files.readText(join(directory, 'none')))).toBe('ENOENT');
    expect(errnoOf(() => files.readText(directory))).toBe('EISDIR');
    expect(errnoOf(() => files.readLink(directory))).toBe('EINVAL');
    expect(errnoOf(() => files.list(join(directory, 'none')))).toBe('ENOENT');
  });

  it('tells kinds, node numbers and links apart', () => {
    mkdirSync(join(directory, 'd'));
    symlinkSync('d', join(directory, 'l'));
    expect(files.stat(join(directory, 'l')).kind).toBe('directory');
    expect(files.linkStat(join(directory, 'l')).kind).toBe('link');
    expect(files.readLink(join(directory, 'l'))).toBe('d');
    expect(files.realPath(join(directory, 'l'))).toMatch(/\/d$/);
    expect(files.stat('/dev/null')).toMatchObject({ kind: 'char', node: '1:3' });
    expect([...files.list(directory)].sort()).toEqual(['d', 'l']);
  });

  it('appends, syncs, cuts and empties a log', async () => {
    const path = join(directory, 'log');
    const log = await files.openLog(path, { truncate: false });
    await log.append('one\n');
    await log.append('two\n');
    await log.sync();
    await log.truncate(4);
    await log.append('three\n');
    await log.close();
    expect(files.readText(path)).toBe('one\nthree\n');
    expect(files.stat(path).mode).toBe(0o600);
    await (await files.openLog(path, { truncate: true })).close();
    expect(files.readText(path)).toBe('');
  });

  it('lets exactly one of many create a name', async () => {
    const path = join(directory, 'one');
    const tries = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => files.createExclusive(path, `${i}`)));
    expect(tries.filter((t) => t.status === 'fulfilled')).toHaveLength(1);
    expect(files.list(directory)).toEqual(['one']);
    await expect(files.createExclusive(path, 'x')).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('makes directories, renames, removes and watches', async () => {
    await files.makeDirectory(join(directory, 'a/b'), 0o700);
    await files.makeDirectory(join(directory, 'a/b'), 0o700);
    const seen = new Promise<string | null>((resolve) => {
      const watch = files.watch(join(directory, 'a'), (name) => {
        watch.close();
        resolve(name);
      });
    });
    await files.rename(join(directory, 'a/b'), join(directory, 'a/c'));
    expect(['b', 'c']).toContain(await seen);
    await files.syncDirectory(directory);
    await expect(files.remove(join(directory, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(() => files.watch(join(directory, 'none'), () => undefined)).toThrow(FileError);
  });
});

describe('processes', () => {
  const processes = createProcesses();

  it('knows itself and sees who is alive', () => {
    const files = createFiles();
    expect(isAlive(files, '/proc', processes.self)).toBe(true);
    expect(isAlive(files, '/proc', { ...processes.self, startTime: '1' })).toBe(false);
    expect(isAlive(files, '/proc', { pid: 2 ** 30, startTime: '1' })).toBe(false);
    expect(parseProcessStatus('12 (a) b) c) D 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 0')).toEqual({
      state: 'D',
      startTime: '4711',
    });
    expect(parseProcessStatus('')).toBeNull();
  });

  it('runs commands without a shell and reports how they ended', async () => {
    expect(await processes.run('echo', ['$HOME;'], { deadline: 5000 })).toEqual({
      code: 0,
      stdout: '$HOME;\n',
      stderr: '',
      timedOut: false,
    });
    expect((await processes.run('false', [], { deadline: 5000 })).code).toBe(1);
    const missing = await processes.run('/no/such/program', [], { deadline: 5000 });
    expect(missing.code).toBe(127);
    expect(missing.stderr).toContain('/no/such/program');
  });

  it('kills a command at its deadline', async () => {
    expect(await processes.run('sleep', ['60'], { deadline: 100 })).toMatchObject({ code: null, timedOut: true });
  });
});

describe('clock and randomness', () => {
  it('fires, cancels, and goes forward', async () => {
    const clock = createClock();
    const before = clock.monotonic();
    const cancelled = clock.after(1, () => {
      throw new Error('was cancelled');
    });
    cancelled.cancel();
    // The timer alone would not keep a process alive: the pending one below does.
    const keepAlive = setInterval(() => undefined, 1000);
    await new Promise<void>((resolve) => void clock.after(5, resolve));
    clearInterval(keepAlive);
    expect(clock.monotonic()).toBeGreaterThan(before);
    expect(createRandom().name(9)).toMatch(/^[0-9a-f]{9}$/);
  });
});

describe('sockets', () => {
  const sockets = createSockets();

  it('answers each line, and says when nobody listens', async () => {
    const path = join(directory, 's');
    await expect(sockets.ask(path, 'x', 1000)).rejects.toMatchObject({ code: 'ENOENT' });
    const server = await sockets.listen(path, (line) => Promise.resolve(`${line}!`));
    expect(await Promise.all([sockets.ask(path, 'a', 1000), sockets.ask(path, 'b', 1000)])).toEqual(['a!', 'b!']);
    await server.close();
    await expect(sockets.ask(path, 'x', 1000)).rejects.toBeInstanceOf(FileError);
  });

  it('takes over a left-behind file, ends a failed conversation, and gives up on a mute one', async () => {
    const path = join(directory, 's');
    writeFileSync(path, '');
    const server = await sockets.listen(path, (line) =>
      line === 'fail' ? Promise.reject(new Error('no')) : new Promise<string>(() => undefined),
    );
    await expect(sockets.ask(path, 'fail', 1000)).rejects.toMatchObject({ code: 'EPIPE' });
    await expect(sockets.ask(path, 'mute', 50)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await server.close();
  });
});

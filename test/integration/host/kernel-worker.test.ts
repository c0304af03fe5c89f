// Real worker processes. A FIFO that nobody reads stands for an attribute that blocks: opening it for writing sleeps in the kernel
// until a reader comes.
import { execFileSync } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createKernelWorker, type KernelWorkerPool } from '../../../src/host/kernel-worker-adapter.ts';
import { WorkerUnavailable, type Abandoned } from '../../../src/host/ports.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import type { ProcessIdentity } from '../../../src/runtime/ports.ts';
import { isAlive } from '../../../src/runtime/process-status.ts';

const entry = fileURLToPath(new URL('../../../src/host/kernel-worker.ts', import.meta.url));
const ample = 20_000;
const short = 60;
let directory: string;
let pool: KernelWorkerPool;
const pools: KernelWorkerPool[] = [];
const fifos: string[] = [];

function createPool(options: Partial<Parameters<typeof createKernelWorker>[0]> = {}): KernelWorkerPool {
  const created = createKernelWorker({ entry, ...options });
  pools.push(created);
  return created;
}

function makeFifo(name: string): string {
  const path = join(directory, name);
  execFileSync('mkfifo', [path]);
  fifos.push(path);
  return path;
}

/** Lets a blocked opener go: it writes into the pipe and gets no error as long as we hold it. */
function letGo(path: string): () => void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return () => closeSync(fd);
}

async function stuckWrite(path: string): Promise<Abandoned> {
  const lease = await pool.lease();
  const outcome = await lease.write(path, '1', short);
  lease.release();
  if (outcome.outcome !== 'Stuck') throw new Error(`expected a stuck write, got ${outcome.outcome}`);
  expect(outcome.worker).toEqual(lease.worker);
  return outcome;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'worker-'));
  pool = createPool();
});

afterEach(() => {
  for (const created of pools.splice(0)) created.close();
  const readers = fifos.splice(0).map((path) => letGo(path));
  for (const close of readers) close();
  rmSync(directory, { recursive: true, force: true });
});

describe('kernel worker', () => {
  it('writes once, without creating anything, and names the errno', async () => {
    const path = join(directory, 'attribute');
    writeFileSync(path, '');
    const lease = await pool.lease();
    expect(lease.worker.pid).not.toBe(process.pid);
    expect(isAlive(createFiles(), '/proc', lease.worker)).toBe(true);
    expect(await lease.write(path, 'vfio-pci\n', ample)).toEqual({ outcome: 'Written' });
    expect(await lease.write(join(directory, 'none'), '1', ample)).toEqual({ outcome: 'Failed', errno: 'ENOENT' });
    expect(await lease.write(directory, '1', ample)).toEqual({ outcome: 'Failed', errno: 'EISDIR' });
    lease.release();
    expect(readFileSync(path, 'utf8')).toBe('vfio-pci\n');
  });

  it('reads a batch in order, each with its text or its errno', async () => {
    writeFileSync(join(directory, 'a'), '(null)\n');
    writeFileSync(join(directory, 'ü'), 'ä');
    const paths = ['a', 'none', 'ü'].map((name) => join(directory, name));
    expect(await pool.read(paths, ample)).toEqual({
      outcome: 'Read',
      results: [{ text: '(null)\n' }, { errno: 'ENOENT' }, { text: 'ä' }],
    });
    expect(await pool.read([], ample)).toEqual({ outcome: 'Read', results: [] });
  });

  it('reads the header of a configuration space as bytes, also those that are no text', async () => {
    const path = join(directory, 'config');
    writeFileSync(path, Buffer.alloc(256, 0xff));
    const gone = join(directory, 'gone', 'config');
    expect(await pool.read([path, gone], ample)).toEqual({
      outcome: 'Read',
      results: [{ text: 'ff'.repeat(64) }, { errno: 'ENOENT' }],
    });
  });

  it('uses one worker again, and lets it end when it is idle', async () => {
    pool = createPool({ idle: 50 });
    const first = await pool.lease();
    first.release();
    const second = await pool.lease();
    expect(second.worker).toEqual(first.worker);
    second.release();
    second.release();
    const files = createFiles();
    while (isAlive(files, '/proc', first.worker)) await new Promise((resolve) => setTimeout(resolve, 10));
    const third = await pool.lease();
    expect(third.worker).not.toEqual(first.worker);
    third.release();
  });

  it('abandons a write that does not return, works on, and learns of its return', async () => {
    const fifo = makeFifo('fifo');
    const stuck = await stuckWrite(fifo);
    expect(pool.abandoned).toBe(1);
    expect(isAlive(createFiles(), '/proc', stuck.worker)).toBe(true);
    const next = await pool.lease();
    expect(next.worker).not.toEqual(stuck.worker);
    next.release();

    const close = letGo(fifo);
    await stuck.returned;
    close();
    expect(pool.abandoned).toBe(0);
    expect(isAlive(createFiles(), '/proc', stuck.worker)).toBe(false);
  });

  it('abandons a batch of reads that does not return', async () => {
    const fifo = makeFifo('fifo');
    const outcome = await pool.read([fifo], short);
    expect(outcome.outcome).toBe('Stuck');
    const writer = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    closeSync(writer);
    if (outcome.outcome === 'Stuck') await outcome.returned;
    expect(pool.abandoned).toBe(0);
  });

  it('begins nothing new at 8 abandoned workers, and again once one has returned', async () => {
    const stuck: Abandoned[] = [];
    for (let i = 0; i < 8; i += 1) stuck.push(await stuckWrite(makeFifo(`fifo${i}`)));
    await expect(pool.lease()).rejects.toThrow(WorkerUnavailable);
    await expect(pool.lease()).rejects.toThrow('8 kernel calls have not returned');
    await expect(pool.read([directory], ample)).rejects.toThrow(WorkerUnavailable);
    const close = letGo(join(directory, 'fifo3'));
    await stuck[3]?.returned;
    close();
    const lease = await pool.lease();
    lease.release();
  });

  it('gives at most as many writers as told, in order, and readers beside them', async () => {
    pool = createPool({ writers: 1 });
    const first = await pool.lease();
    const order: string[] = [];
    const waiting = ['a', 'b'].map(async (name) => {
      const lease = await pool.lease();
      order.push(name);
      lease.release();
    });
    expect((await pool.read(['/proc/uptime'], ample)).outcome).toBe('Read');
    expect(order).toEqual([]);
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual(['a', 'b']);
  });

  it('refuses those who wait once too many are stuck', async () => {
    pool = createPool({ writers: 8 });
    const leases = await Promise.all(Array.from({ length: 8 }, () => pool.lease()));
    // Each stuck write frees its place: those that still wait at the eighth are refused, none is forgotten.
    const waiting = Promise.allSettled(Array.from({ length: 12 }, () => pool.lease()));
    await Promise.all(leases.map((lease, i) => lease.write(makeFifo(`fifo${i}`), '1', short)));
    const settled = await waiting;
    for (const one of settled) if (one.status === 'fulfilled') one.value.release();
    expect(settled.map((one) => (one.status === 'rejected' ? (one.reason as Error).name : 'admitted'))).toEqual([
      ...Array.from({ length: 8 }, () => 'admitted'),
      ...Array.from({ length: 4 }, () => 'WorkerUnavailable'),
    ]);
    expect(pool.abandoned).toBe(8);
  });

  it('reports a worker that was killed in the middle of a write as a failure with unknown effect', async () => {
    const fifo = makeFifo('fifo');
    const lease = await pool.lease();
    const writing = lease.write(fifo, '1', ample);
    process.kill(lease.worker.pid, 'SIGKILL');
    expect(await writing).toEqual({ outcome: 'Failed', errno: 'EINTR' });
    lease.release();
    (await pool.lease()).release();
  });

  it('says why no worker can be started', async () => {
    pool = createPool({ entry: join(directory, 'none.mjs') });
    await expect(pool.lease()).rejects.toThrow(/cannot start a kernel worker .*ended with code 1/);
  });

  it('works where it is when it cannot leave the cgroup, and says why', async () => {
    pool = createPool({ cgroup: join(directory, 'no-cgroup') });
    const lease = await pool.lease();
    lease.release();
    expect(pool.stayed).toMatch(/no-cgroup|nsenter/);
    expect(existsSync(join(directory, 'no-cgroup'))).toBe(false);
  });

  it('ends with its agent, and survives it while the kernel holds it', async () => {
    const fifo = makeFifo('fifo');
    const agent = `
      import { createKernelWorker } from ${JSON.stringify(new URL('../../../src/host/kernel-worker-adapter.ts', import.meta.url).href)};
      const pool = createKernelWorker({ entry: ${JSON.stringify(entry)} });
      const idle = await pool.lease();
      const stuck = await pool.lease();
      idle.release();
      const outcome = await stuck.write(${JSON.stringify(fifo)}, '1', 50);
      console.log(JSON.stringify([idle.worker, outcome.worker]));
    `;
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', agent], { encoding: 'utf8' });
    const [idle, stuck] = JSON.parse(output) as [ProcessIdentity, ProcessIdentity];
    const files = createFiles();
    while (isAlive(files, '/proc', idle)) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isAlive(files, '/proc', stuck)).toBe(true);
    const close = letGo(fifo);
    while (isAlive(files, '/proc', stuck)) await new Promise((resolve) => setTimeout(resolve, 10));
    close();
  });
});

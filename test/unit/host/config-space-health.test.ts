import { describe, expect, it } from 'vitest';
import { createConfigSpaceHealth } from '../../../src/host/config-space-health.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { WorkerUnavailable, type KernelWorker, type ReadOutcome } from '../../../src/host/ports.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { createHostTree, memorySink } from '../../support/host-tree.ts';

const first = '0000:65:00.0';
const second = '0000:66:00.0';
const third = '0000:67:00.0';
const alive = '8680d310';
const dead = 'ffffffff';
const none: ReadonlySet<string> = new Set();

/** Three functions, all awake and well; `config` says what each worker's read gives, `status` what the power attribute says. */
async function bench() {
  const files = createMemoryFiles();
  const sink = memorySink(files);
  const tree = createHostTree(sink);
  for (const address of [first, second, third]) tree.addFunction({ address });
  const paths = hostPaths();
  const clock = createVirtualClock({ settle: () => Promise.resolve() });
  const inventory = await createScanner({ files, paths }).scan({ wantSerialNumbers: false });
  const config: Record<string, string | ReadOutcome> = {};
  const asked: string[] = [];
  const worker: KernelWorker = {
    lease: () => Promise.reject(new WorkerUnavailable('reads need no lease')),
    abandoned: 0,
    close() {},
    read([path = '']) {
      const address = path.split('/').at(-2) ?? '';
      asked.push(address);
      const answer = config[address] ?? alive;
      if (answer === 'unavailable') return Promise.reject(new WorkerUnavailable('8 workers are stuck'));
      return Promise.resolve(
        typeof answer === 'string' ? { outcome: 'Read', results: [{ text: answer.padEnd(128, answer) }] } : answer,
      );
    },
  };
  const health = createConfigSpaceHealth({ files, paths, worker, clock, deadline: 1_000 });
  const power = (address: string, status: string): void =>
    sink.file(`${paths.device('pci', address)}/power/runtime_status`, `${status}\n`);
  for (const address of [first, second, third]) power(address, 'active');
  const devices = [...inventory.devices.values()];
  return { check: (excluded = none) => health.check(devices, excluded), clock, config, asked, power };
}

describe('a device that does not answer', () => {
  it('is not a virtual function, whose ids read all ones by the standard', async () => {
    const { check, config } = await bench();
    config[second] = `${dead}0600100001000002`.padEnd(128, '0');
    expect(await check()).toEqual(new Map());
  });

  it('is told by all ones, and well again by an answer', async () => {
    const { check, clock, config } = await bench();
    config[second] = dead;
    expect(await check()).toEqual(
      new Map([[second, `${second} does not answer: its configuration space reads all ones`]]),
    );
    config[second] = alive;
    await clock.advance(30_000);
    expect(await check()).toEqual(new Map());
  });

  it('is asked every 30 s at most, and the verdict stands meanwhile', async () => {
    const { check, clock, config, asked } = await bench();
    config[first] = dead;
    await check();
    await clock.advance(29_999);
    expect([...(await check()).keys()]).toEqual([first]);
    expect(asked).toEqual([first, second, third]);
    await clock.advance(1);
    await check();
    expect(asked).toHaveLength(6);
  });

  it('is not woken up while it sleeps well, and asked asleep once it was silent', async () => {
    const { check, clock, config, asked, power } = await bench();
    power(first, 'suspended');
    config[second] = dead;
    await check();
    expect(asked).toEqual([second, third]);
    power(second, 'suspended');
    await clock.advance(30_000);
    expect([...(await check()).keys()]).toEqual([second]);
    expect(asked.slice(2)).toEqual([second, third]);
  });

  it('is not concluded from a vendor id with ones in it, an error, or a short read', async () => {
    const { check, config } = await bench();
    config[first] = 'ffff0010';
    config[second] = { outcome: 'Read', results: [{ errno: 'EIO' }] };
    config[third] = { outcome: 'Read', results: [{ text: '' }] };
    expect(await check()).toEqual(new Map());
  });

  it('is not asked while a kernel call on its group has not returned', async () => {
    const { check, asked } = await bench();
    await check(new Set([first, third]));
    expect(asked).toEqual([second]);
  });
});

describe('a read that does not return', () => {
  it('names the process, is not repeated, and costs two workers at most', async () => {
    const { check, clock, config, asked } = await bench();
    const returned = Promise.withResolvers<void>();
    const stuck: ReadOutcome = {
      outcome: 'Stuck',
      worker: { pid: 4711, startTime: '1' },
      returned: returned.promise,
    };
    config[first] = stuck;
    config[second] = stuck;
    const problems = await check();
    expect(problems.get(first)).toContain('process 4711');
    expect(asked).toEqual([first, second]);
    await clock.advance(60_000);
    await check();
    expect(asked).toEqual([first, second]);
    delete config[first];
    delete config[second];
    returned.resolve();
    await returned.promise;
    expect(await check()).toEqual(new Map());
    expect(asked).toEqual([first, second, first, second, third]);
  });

  it('keeps what is known when there is no worker', async () => {
    const { check, clock, config } = await bench();
    config[second] = dead;
    await check();
    config[first] = 'unavailable';
    await clock.advance(30_000);
    expect([...(await check()).keys()]).toEqual([second]);
  });
});

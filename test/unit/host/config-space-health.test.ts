import { describe, expect, it } from 'vitest';
import { createConfigSpaceHealth } from '../../../src/host/config-space-health.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { WorkerUnavailable, type KernelWorker, type ReadOutcome, type WorkerRead } from '../../../src/host/ports.ts';
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
  const link: Record<string, string> = {};
  const linkOf = (path: string): WorkerRead => {
    const text = link[path.split('/').slice(-2).join('/')];
    return text === undefined ? { errno: 'ENOENT' } : { text };
  };
  const worker: KernelWorker = {
    lease: () => Promise.reject(new WorkerUnavailable('reads need no lease')),
    abandoned: 0,
    close() {},
    read([path = '', ...more]) {
      const address = path.split('/').at(-2) ?? '';
      asked.push(address);
      const answer = config[address] ?? alive;
      if (answer === 'unavailable') return Promise.reject(new WorkerUnavailable('8 workers are stuck'));
      return Promise.resolve(
        typeof answer === 'string'
          ? { outcome: 'Read', results: [{ text: answer.padEnd(128, answer) }, ...more.map(linkOf)] }
          : answer,
      );
    },
  };
  const health = createConfigSpaceHealth({ files, paths, worker, clock, deadline: 1_000 });
  const power = (address: string, status: string): void =>
    sink.file(`${paths.device('pci', address)}/power/runtime_status`, `${status}\n`);
  for (const address of [first, second, third]) power(address, 'active');
  const devices = [...inventory.devices.values()];
  return {
    check: async (excluded = none) => (await health.check(devices, excluded)).silent,
    notices: async () => Object.fromEntries((await health.check(devices, none)).notices),
    clock,
    config,
    asked,
    link,
    power,
    health,
    devices,
  };
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

describe('what a person may want to know', () => {
  const lanes = (link: Record<string, string>, width: string): void => {
    Object.assign(link, { [`${first}/current_link_width`]: width, [`${first}/max_link_width`]: '16\n' });
  };
  const errors = (kind: string, count: number): string => `DLP 0\nUncorrIntErr ${count}\nTOTAL_ERR_${kind} ${count}\n`;

  it('is a link with fewer lanes than the device has, and no other width', async () => {
    const { notices, clock, link, asked } = await bench();
    const seen: unknown[] = [];
    for (const width of ['8\n', '16\n', '0\n', '63\n', 'Unknown\n', '']) {
      lanes(link, width);
      seen.push(await notices());
      await clock.advance(30_000);
    }
    expect(seen).toEqual([{ [first]: 'its PCIe link has 8 of 16 lanes' }, {}, {}, {}, {}, {}]);
    expect(asked.filter((address) => address === first)).toHaveLength(6);
  });

  it('is what it reported of errors since it was first asked, whatever the number', async () => {
    const { notices, clock, link } = await bench();
    const next = async (fatal: number, nonfatal: number): Promise<unknown> => {
      link[`${first}/aer_dev_fatal`] = errors('FATAL', fatal);
      link[`${first}/aer_dev_nonfatal`] = errors('NONFATAL', nonfatal);
      await clock.advance(30_000);
      return (await notices())[first];
    };
    expect(await next(2, 7)).toBeUndefined();
    expect(await next(2, 8)).toBe('it has reported nonfatal PCIe errors since the agent began to look');
    const both = 'it has reported fatal and nonfatal PCIe errors since the agent began to look';
    expect([await next(3, 8), await next(4, 90)]).toEqual([both, both]);
    // Another one in its place, or found anew: it counts from there.
    expect([await next(0, 1), await next(0, 1)]).toEqual([undefined, undefined]);
  });

  it('stands while the device sleeps, and is not asked for then', async () => {
    const { notices, clock, link, power, asked } = await bench();
    lanes(link, '4\n');
    await notices();
    power(first, 'suspended');
    lanes(link, '16\n');
    await clock.advance(30_000);
    expect(await notices()).toEqual({ [first]: 'its PCIe link has 4 of 16 lanes' });
    expect(asked.filter((address) => address === first)).toHaveLength(1);
    power(first, 'active');
    expect(await notices()).toEqual({});
  });

  it('is not asked of a virtual function, whose link is that of its physical function', async () => {
    const { health, devices, link } = await bench();
    lanes(link, '4\n');
    const [device, ...others] = devices;
    if (device === undefined) throw new Error('no device');
    const virtual = { ...device, physicalFunction: others[0]?.address ?? null };
    expect((await health.check([virtual], none)).notices).toEqual(new Map());
  });
});

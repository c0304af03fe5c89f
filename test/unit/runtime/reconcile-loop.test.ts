// The loop: one pass at a time, whatever happens meanwhile leads to one more, and failures wait ever longer.
import { beforeEach, describe, expect, it } from 'vitest';
import { type ReconcileLoop, startReconcileLoop } from '../../../src/runtime/reconcile-loop.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/simulation/virtual-clock.ts';

let clock: VirtualClock;
/** When each pass began, with its reasons. */
let passes: string[];
let errors: string[];
let run: (signal: AbortSignal) => Promise<number>;

function start(): ReconcileLoop {
  return startReconcileLoop({
    clock,
    async run(reasons, signal) {
      passes.push(`${clock.monotonic()} ${reasons.join('+')}`);
      return { again: await run(signal) };
    },
    onError: (error, retryIn) => void errors.push(`${String(error)} ${retryIn}`),
  });
}

const takes = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => void clock.after(milliseconds, resolve));

beforeEach(() => {
  clock = createVirtualClock();
  passes = [];
  errors = [];
  run = () => Promise.resolve(10_000);
});

describe('passes', () => {
  it('begin at once and come again when told', async () => {
    start();
    await clock.advance(25_000);
    expect(passes).toEqual(['0 start', '10000 timer', '20000 timer']);
  });

  it('come for a trigger, several at a time once, and the interval begins anew', async () => {
    const loop = start();
    await clock.advance(1_000);
    for (const reason of ['policies', 'kernel event', 'policies']) loop.trigger(reason);
    await clock.advance(12_000);
    expect(passes).toEqual(['0 start', '1050 policies+kernel event', '11050 timer']);
  });

  it('never overlap: what comes during one leads to exactly one more', async () => {
    let running = 0;
    run = async () => {
      running += 1;
      expect(running).toBe(1);
      await takes(3_000);
      running -= 1;
      return 60_000;
    };
    const loop = start();
    await clock.advance(1_000);
    loop.trigger('a');
    await clock.advance(1_000);
    loop.trigger('b');
    await clock.advance(20_000);
    expect(passes).toEqual(['0 start', '3050 a+b']);
  });

  it('that want to come again at once do, and a trigger does not put them off', async () => {
    const waits = [0, 0, 10_000];
    run = () => Promise.resolve(waits.shift() ?? 10_000);
    const loop = start();
    loop.trigger('a');
    await clock.advance(100);
    expect(passes).toEqual(['0 start+a', '0 timer', '0 timer']);
    loop.trigger('b');
    loop.trigger('c');
    await clock.advance(100);
    expect(passes.slice(3)).toEqual(['150 b+c']);
  });
});

describe('failures', () => {
  it('are told and tried again ever later, half a minute at most; a success forgets them', async () => {
    run = () => Promise.reject(new Error('no'));
    start();
    await clock.advance(80_000);
    expect(passes.map((pass) => pass.split(' ')[0])).toEqual([
      '0',
      '500',
      '1500',
      '3500',
      '7500',
      '15500',
      '31500',
      '61500',
    ]);
    expect(errors.slice(-2)).toEqual(['Error: no 30000', 'Error: no 30000']);
    run = () => Promise.resolve(1_000);
    await clock.advance(15_000);
    run = () => Promise.reject(new Error('again'));
    errors = [];
    await clock.advance(1_200);
    expect(errors[0]).toBe('Error: again 500');
  });

  it('do not keep a trigger waiting', async () => {
    run = () => Promise.reject(new Error('no'));
    const loop = start();
    await clock.advance(10_000);
    const before = passes.length;
    loop.trigger('policies');
    await clock.advance(100);
    expect(passes.slice(before)).toEqual(['10050 policies']);
  });
});

describe('stopping', () => {
  it('waits for the pass in progress, which is told, and lets no other begin', async () => {
    const aborted: boolean[] = [];
    run = async (signal) => {
      await takes(5_000);
      aborted.push(signal.aborted);
      return 0;
    };
    const loop = start();
    await clock.advance(1_000);
    let stopped = false;
    void loop.stop().then(() => (stopped = true));
    loop.trigger('too late');
    await clock.advance(3_000);
    expect(stopped).toBe(false);
    await clock.advance(60_000);
    expect([stopped, aborted, passes]).toEqual([true, [true], ['0 start']]);
    expect(clock.pending).toBe(0);
  });

  it('between passes is immediate, and again harmless', async () => {
    const loop = start();
    await clock.advance(1_000);
    await loop.stop();
    await loop.stop();
    loop.trigger('too late');
    await clock.advance(60_000);
    expect(passes).toEqual(['0 start']);
  });
});

// Whatever pauses, delays, lost requests and lost answers do, no two replicas may act at one time.
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { createLeaseServer, startReplica } from '../../support/lease-world.ts';

const replica = fc.integer({ min: 0, max: 2 });
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pass' as const), time: fc.integer({ min: 1, max: 9000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pause' as const), replica }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('resume' as const), replica }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('release' as const), replica }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('network' as const),
      silent: fc.constantFrom('no' as const, 'no' as const, 'before' as const, 'after' as const),
      there: fc.integer({ min: 0, max: 6000 }),
      back: fc.integer({ min: 0, max: 6000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), by: fc.integer({ min: -1e7, max: 1e7 }) }) },
);

it('lets one act at a time', async () => {
  let led = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 5, maxLength: 40 }), fc.integer(), async (events, seed) => {
      const clock = createVirtualClock();
      const server = createLeaseServer(clock);
      const replicas = ['a', 'b', 'c'].map((name, index) => startReplica(name, server, clock, seed + index));
      const check = (): void => {
        const acting = replicas.filter(({ election }) => election.mayAct()).map(({ name }) => name);
        expect(acting.length, acting.join(' and ')).toBeLessThan(2);
        led += acting.length;
      };
      const pass = async (time: number): Promise<void> => {
        for (let left = time; left > 0; left -= 250) {
          await clock.advance(Math.min(250, left));
          check();
        }
      };
      for (const one of events) {
        if (one.kind === 'pass') await pass(one.time);
        else if (one.kind === 'jump') clock.jump(one.by);
        else if (one.kind === 'network') {
          server.silent = one.silent;
          server.delays = { there: one.there, back: one.back };
        } else if (one.kind === 'release') void replicas[one.replica]?.election.release();
        else replicas[one.replica]?.[one.kind]();
        check();
      }
      await pass(3000);
    }),
    { numRuns: 60 },
  );
  expect(led).toBeGreaterThan(500);
});

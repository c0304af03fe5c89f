import { describe, expect, it } from 'vitest';
import type { SimulatedApiServer } from '../../../src/simulation/api-server.ts';
import { policyObject, watchPolicies, withPolicies } from '../../support/simulated-api.ts';

const second = 1000;
const minute = 60 * second;

describe('a server in trouble', () => {
  /** Requests within any stretch of ten minutes at the end of a long trouble. */
  const rate = async (trouble: (server: SimulatedApiServer) => void): Promise<number> => {
    const { clock, server } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    trouble(server);
    await clock.advance(5 * minute);
    const before = server.seen.length;
    await clock.advance(10 * minute);
    return server.seen.length - before;
  };

  it.each([
    ['is away', (server: SimulatedApiServer) => server.faults.goAway()],
    [
      'answers 500',
      (server: SimulatedApiServer) => {
        server.faults.fail(1_000_000, 500);
        server.faults.cutWatches();
      },
    ],
    [
      'cuts every answer',
      (server: SimulatedApiServer) => {
        server.faults.cutAnswers(1_000_000);
        server.faults.expireWatches();
      },
    ],
  ])('is not asked more than about four times a minute while it %s', async (_name, trouble) => {
    const requests = await rate(trouble);
    expect(requests).toBeGreaterThan(15);
    expect(requests).toBeLessThan(80);
  });

  it('is not asked in a busy loop while every watch ends at once; lists tell the truth meanwhile', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    for (let beat = 0; beat < 6000; beat += 1) {
      server.faults.endWatches();
      await clock.advance(100);
      if (beat === 3000) server.put('vfiopolicies', policyObject('b', 1));
    }
    expect(items()).toEqual(['a=0', 'b=1']);
    expect(problems.some((problem) => problem?.code === 'Unreachable')).toBe(true);
    expect(server.seen.length).toBeLessThan(120);
    await clock.advance(2 * minute);
    expect(problems.at(-1)).toBeNull();
  });

  it('is left alone as long as Retry-After says', async () => {
    const { clock, server, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.faults.throttle(1, 90);
    server.faults.cutWatches();
    await clock.advance(5 * second);
    const asked = server.seen.length;
    expect(problems.at(-1)?.code).toBe('Throttled');
    await clock.advance(80 * second);
    expect(server.seen).toHaveLength(asked);
    await clock.advance(20 * second);
    expect(server.seen).toHaveLength(asked + 1);
    expect(problems.at(-1)).toBeNull();
  });

  it('that stands still is noticed by its silence, and its watch given up', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.advance(2 * minute);
    server.faults.freeze();
    server.put('vfiopolicies', policyObject('b', 1));
    await clock.advance(5 * minute);
    expect(problems.at(-1)?.code).toBe('Unreachable');
    server.faults.comeBack();
    await clock.advance(minute);
    expect(items()).toEqual(['a=0', 'b=1']);
    expect(problems.at(-1)).toBeNull();
  });

  it('that never sends a bookmark is given up once it should have ended the watch', async () => {
    const { clock, server, connection } = watchPolicies();
    await clock.settle();
    server.faults.freeze();
    await clock.advance(11 * minute);
    expect(connection.sent.WATCH).toBeGreaterThan(1);
  });

  it('reads multi-byte text that is cut anywhere', async () => {
    const { clock, server, items } = watchPolicies({ pieceBytes: 1 });
    await clock.advance(second);
    server.put('vfiopolicies', { ...policyObject('a', 1), note: 'größer € 💡' });
    await clock.advance(second);
    await clock.advance(second);
    expect(items()).toEqual(['a=1']);
  });
});

import { describe, expect, it } from 'vitest';
import { policiesPath, policyObject, watchPolicies, withPolicies } from '../../support/simulated-api.ts';

const second = 1000;
const minute = 60 * second;

describe('a reflector', () => {
  it('knows nothing before its first complete list, then everything, and says so once', async () => {
    const { clock, items, changes, reflector } = watchPolicies({ prepare: withPolicies('a', 'b') });
    expect(items()).toBeNull();
    await clock.settle();
    expect(items()).toEqual(['a=0', 'b=1']);
    expect(changes).toEqual([['a', 'b']]);
    expect(reflector.state).toMatchObject({ problem: null, resourceVersion: '102' });
  });

  it('reports an empty list: none is something else than unknown', async () => {
    const { clock, items, changes } = watchPolicies();
    await clock.settle();
    expect([items(), changes]).toEqual([[], [[]]]);
  });

  it('follows additions, changes and deletions by watch', async () => {
    const { clock, server, items, changes } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.put('vfiopolicies', policyObject('b', 5));
    server.put('vfiopolicies', policyObject('a', 7));
    await clock.settle();
    expect(items()).toEqual(['a=7', 'b=5']);
    server.delete('vfiopolicies', 'a');
    await clock.settle();
    expect(items()).toEqual(['b=5']);
    expect(changes).toEqual([['a'], ['b'], ['a'], ['a']]);
    expect(server.seen.map(({ verb }) => verb)).toEqual(['GET', 'WATCH']);
  });

  it('lists in pages and believes them once all are there', async () => {
    const names = Array.from({ length: 7 }, (_, index) => `p${index}`);
    const { clock, server, items, changes } = watchPolicies({ prepare: withPolicies(...names), pageSize: 3 });
    await clock.settle();
    expect(items()).toHaveLength(7);
    expect(changes).toHaveLength(1);
    expect(server.seen.filter(({ verb }) => verb === 'GET')).toHaveLength(3);
  });

  it('takes smaller pages where the answer is too large', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `p${index}`);
    const { clock, items, problems } = watchPolicies({
      prepare: withPolicies(...names),
      pageSize: 8,
      maxAnswerBytes: 900,
    });
    await clock.settle();
    expect(items()).toHaveLength(8);
    expect(problems).toEqual([]);
  });

  it('keeps what it kept of objects that did not change over a list', async () => {
    const { clock, server, kept, items } = watchPolicies({ prepare: withPolicies('a', 'b', 'c') });
    await clock.settle();
    server.faults.cutWatches();
    server.faults.compact();
    server.put('vfiopolicies', policyObject('b', 9));
    server.faults.compact();
    await clock.advance(10 * second);
    expect(items()).toEqual(['a=0', 'b=9', 'c=2']);
    expect(kept()).toBe(4);
  });

  it('honours its selectors on the list and on the watch', async () => {
    const { clock, server, items } = watchPolicies({
      prepare: withPolicies('a', 'b'),
      fieldSelector: 'metadata.name=b',
    });
    await clock.settle();
    server.put('vfiopolicies', policyObject('a', 3));
    server.put('vfiopolicies', policyObject('b', 4));
    await clock.settle();
    expect(items()).toEqual(['b=4']);
  });

  it('drops an object that a label selector no longer selects', async () => {
    const { clock, server, items } = watchPolicies({ labelSelector: 'team=x' });
    server.put('vfiopolicies', policyObject('a', 1, { team: 'x' }));
    await clock.advance(2 * second);
    expect(items()).toEqual(['a=1']);
    server.put('vfiopolicies', policyObject('a', 2, { team: 'y' }));
    await clock.settle();
    expect(items()).toEqual([]);
  });

  it('ends with close: no call, no request afterwards', async () => {
    const { clock, server, reflector, changes } = watchPolicies();
    await clock.settle();
    reflector.close();
    server.put('vfiopolicies', policyObject('a'));
    await clock.advance(10 * minute);
    expect(changes).toEqual([[]]);
    expect(server.seen).toHaveLength(2);
    expect(server.watches).toBe(0);
  });
});

describe('after a gap', () => {
  it('sees the deletions it missed, by the list that 410 asks for', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a', 'b') });
    await clock.settle();
    server.faults.goAway();
    server.delete('vfiopolicies', 'a');
    server.put('vfiopolicies', policyObject('c', 8));
    server.faults.compact();
    await clock.advance(3 * minute);
    expect(items()).toEqual(['a=0', 'b=1']);
    expect(problems.map((problem) => problem?.code)).toEqual(['Unreachable']);
    server.faults.comeBack();
    await clock.advance(minute);
    expect(items()).toEqual(['b=1', 'c=8']);
    expect(problems.map((problem) => problem?.code ?? null)).toEqual(['Unreachable', null]);
  });

  it('goes on from where it was while the history reaches back, without a list', async () => {
    const { clock, server, items } = watchPolicies({ prepare: withPolicies('a', 'b') });
    await clock.settle();
    server.faults.cutWatches();
    server.delete('vfiopolicies', 'a');
    await clock.advance(2 * second);
    expect(items()).toEqual(['b=1']);
    expect(server.seen.filter(({ verb }) => verb === 'GET')).toHaveLength(1);
  });

  it('lists again when ERROR 410 comes within the stream', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.faults.expireWatches();
    server.delete('vfiopolicies', 'a');
    server.faults.compact();
    await clock.advance(5 * second);
    expect(items()).toEqual([]);
    expect(problems).toEqual([]);
  });

  it('does not call a watch that the server ended a problem', async () => {
    const { clock, server, problems } = watchPolicies();
    await clock.advance(40 * second);
    server.faults.endWatches();
    await clock.advance(40 * second);
    server.faults.cutWatches();
    await clock.advance(40 * second);
    expect(problems).toEqual([]);
    expect(server.watches).toBe(1);
  });
});

describe('etcd restored from a backup with its versions raised', () => {
  it('is believed at once: what the backup lacks is gone', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    server.put('vfiopolicies', policyObject('b', 1));
    await clock.settle();
    expect(items()).toEqual(['a=0', 'b=1']);
    server.faults.expireWatches();
    server.delete('vfiopolicies', 'b');
    server.skip(1_000_000_000);
    server.faults.compact();
    await clock.advance(minute);
    expect(items()).toEqual(['a=0']);
    expect(problems).toEqual([]);
  });
});

describe('an idle hour', () => {
  it('asks for a new watch every five to ten minutes, and for nothing else', async () => {
    const { clock, server, connection } = watchPolicies({ prepare: withPolicies('a') });
    await clock.advance(60 * minute);
    expect(connection.sent.WATCH).toBeGreaterThanOrEqual(6);
    expect(connection.sent.WATCH).toBeLessThanOrEqual(13);
    expect(connection.sent).toMatchObject({ GET: 1, POST: 0, PUT: 0, PATCH: 0, DELETE: 0 });
    expect(server.watches).toBe(1);
  });
});

describe('what never removes an item', () => {
  it.each([401, 403, 404] as const)('status %i', async (status) => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.faults.refuse('vfiopolicies', status);
    server.faults.expireWatches();
    await clock.advance(10 * minute);
    expect(items()).toEqual(['a=0']);
    const code = { 401: 'Unauthorized', 403: 'Forbidden', 404: 'NotFound' }[status];
    expect(problems.map((problem) => problem?.code)).toEqual([code]);
    expect(problems[0]?.message).toContain(policiesPath);
    server.faults.heal();
    await clock.advance(minute);
    expect(problems.at(-1)).toBeNull();
  });

  it('a list of which a page is gone', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a', 'b', 'c'), pageSize: 2 });
    await clock.settle();
    server.delete('vfiopolicies', 'c');
    server.put('vfiopolicies', policyObject('d', 1));
    await clock.settle();
    server.faults.losePages(1000);
    server.faults.compact();
    server.faults.expireWatches();
    server.delete('vfiopolicies', 'a');
    server.put('vfiopolicies', policyObject('e', 1));
    server.faults.compact();
    await clock.advance(10 * minute);
    expect(items()).toEqual(['a=0', 'b=1', 'd=1']);
    expect(problems.map((problem) => problem?.code)).toEqual(['Partial']);
  });

  it('a list that is older than what was known, whether the server says so or not', async () => {
    for (const honest of [true, false]) {
      const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
      server.put('vfiopolicies', policyObject('b', 4));
      await clock.settle();
      server.faults.serveOld(2, honest);
      server.faults.expireWatches();
      await clock.advance(10 * minute);
      expect(items()).toEqual(['a=0', 'b=4']);
      expect(new Set(problems.map((problem) => problem?.code))).toEqual(new Set(['Older']));
    }
  });

  it('an older list at the start, when an earlier life acted on a newer one', async () => {
    const { clock, server, items, reflector } = watchPolicies({ prepare: withPolicies('a'), notBefore: '150' });
    await clock.advance(10 * minute);
    expect(items()).toBeNull();
    expect(reflector.state).toMatchObject({ resourceVersion: null, problem: { code: 'Older' } });
    server.skip(60);
    await clock.advance(minute);
    expect(items()).toEqual(['a=0']);
    expect(reflector.state.problem).toBeNull();
  });

  it('garbage in the stream', async () => {
    const { clock, server, items, problems } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.faults.garble('<html>');
    server.put('vfiopolicies', policyObject('b', 2));
    await clock.advance(5 * minute);
    expect(items()).toEqual(['a=0', 'b=2']);
    expect(problems.map((problem) => problem?.code ?? null)).toEqual(['BadAnswer', null]);
  });

  it('events that come again, or out of an older time', async () => {
    const { clock, server, items, changes } = watchPolicies({ prepare: withPolicies('a') });
    await clock.settle();
    server.delete('vfiopolicies', 'a');
    server.put('vfiopolicies', policyObject('a', 6));
    await clock.settle();
    const before = changes.length;
    server.faults.repeatEvents(10);
    await clock.settle();
    expect(items()).toEqual(['a=6']);
    expect(changes).toHaveLength(before);
  });

  it('an object that its owner cannot use', async () => {
    const { clock, server, items, problems } = watchPolicies({
      prepare: withPolicies('a'),
      keep: (object) => {
        if (object.metadata.name === 'bad') throw new Error('no');
        return 1;
      },
    });
    await clock.settle();
    server.put('vfiopolicies', policyObject('bad', 3));
    await clock.advance(minute);
    expect(items()).toEqual(['a=1']);
    expect(problems.at(-1)).toMatchObject({
      code: 'BadAnswer',
      message: expect.stringContaining('bad cannot be used'),
    });
    server.delete('vfiopolicies', 'bad');
    await clock.advance(2 * minute);
    expect(problems.at(-1)).toBeNull();
  });
});

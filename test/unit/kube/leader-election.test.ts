import { describe, expect, it } from 'vitest';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { createLeaseServer, startReplica } from '../../support/lease-world.ts';

function world() {
  const clock = createVirtualClock();
  const server = createLeaseServer(clock);
  return { clock, server, start: (name: string, seed = 1) => startReplica(name, server, clock, seed) };
}

describe('the Lease', () => {
  it('is made by the first and renewed for as long as it lives', async () => {
    const { clock, server, start } = world();
    const a = start('a');
    await clock.advance(60_000);
    expect(a.events).toEqual(['leads']);
    expect(a.election.mayAct()).toBe(true);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(server.lease?.spec.acquireTime).toMatch(/^2026-01-01T00:00:00\.\d{6}Z$/);
    expect(server.lease?.spec.renewTime).toMatch(/^2026-01-01T00:00:5\d\.\d{6}Z$/);
  });

  it('costs one request per renewal', async () => {
    const { clock, server, start } = world();
    start('a');
    await clock.advance(600_000);
    expect(server.requests.length).toBeGreaterThan(240);
    expect(server.requests.length).toBeLessThan(380);
    expect(server.requests.slice(2).every(({ method }) => method === 'PUT')).toBe(true);
  });

  it('stays with its holder while others ask', async () => {
    const { clock, start } = world();
    const a = start('a');
    await clock.advance(100);
    const b = start('b', 2);
    await clock.advance(600_000);
    expect(a.election.mayAct()).toBe(true);
    expect(b.events).toEqual(['waits: a leads']);
  });

  it('passes on at once when it is given back', async () => {
    const { clock, server, start } = world();
    const a = start('a');
    await clock.advance(100);
    const b = start('b', 2);
    await clock.advance(3000);
    const released = a.election.release();
    await clock.advance(3000);
    await released;
    expect(a.election.mayAct()).toBe(false);
    expect(b.events).toEqual(['waits: a leads', 'leads after another']);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it('is not given back by one who never had it', async () => {
    const { clock, server, start } = world();
    start('a');
    await clock.advance(100);
    const b = start('b', 2);
    await clock.advance(5000);
    await b.election.release();
    expect(server.lease?.spec.holderIdentity).toBe('a');
  });

  it('is left alone until a holder whose clock is wrong has been silent for 15 s of our own', async () => {
    const { clock, start } = world();
    const a = start('a');
    await clock.advance(100);
    a.pause();
    // The wall clock says that an hour has passed since the renewal.
    clock.jump(3_600_000);
    const b = start('b', 2);
    await clock.advance(14_900);
    expect(b.election.mayAct()).toBe(false);
    await clock.advance(4000);
    expect(b.election.mayAct()).toBe(true);
  });
});

describe('a leader', () => {
  it('that was paused does not act afterwards, and ends', async () => {
    const { clock, start } = world();
    const a = start('a');
    await clock.advance(3000);
    const b = start('b', 2);
    await clock.advance(3000);
    a.pause();
    await clock.advance(10_000);
    expect(a.election.mayAct()).toBe(false);
    expect(b.election.mayAct()).toBe(false);
    await clock.advance(10_000);
    expect(b.election.mayAct()).toBe(true);
    a.resume();
    await clock.advance(1000);
    expect(a.election.mayAct()).toBe(false);
    expect(a.events.at(-1)).toMatch(/^lost: /);
    expect(b.election.mayAct()).toBe(true);
  });

  it('that is not answered stops before anybody else can begin', async () => {
    const { clock, server, start } = world();
    const a = start('a');
    await clock.advance(3000);
    server.silent = 'before';
    await clock.advance(12_100);
    expect(a.election.mayAct()).toBe(false);
    expect(a.events.at(-1)).toMatch(/^lost: the Lease could not be renewed for 10 s/);
  });

  it('goes on when its renewal was carried out but not answered', async () => {
    const { clock, server, start } = world();
    const a = start('a');
    await clock.advance(3000);
    server.silent = 'after';
    await clock.advance(2500);
    server.silent = 'no';
    await clock.advance(60_000);
    expect(a.events).toEqual(['leads']);
    expect(a.election.mayAct()).toBe(true);
  });

  it('ends when the Lease is deleted or taken', async () => {
    const { clock, server, start } = world();
    const a = start('a');
    await clock.advance(3000);
    server.remove();
    await clock.advance(3000);
    expect(a.events.at(-1)).toBe('lost: the Lease was deleted');
  });

  it('says why it cannot lead', async () => {
    const { clock, server, start } = world();
    server.answer = { status: 403, body: { message: 'leases is forbidden' }, retryAfter: null };
    const a = start('a');
    await clock.advance(30_000);
    expect(a.events).toEqual(['waits: the Lease cannot be read: status 403: leases is forbidden']);
  });
});

// The reflector over the real HTTPS adapter, against a server that breaks in every way a socket can: what the simulation cannot show.
// The network is real, the reflector's waits pass on a virtual clock.
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { createApiConnection } from '../../../src/kube/api-connection.ts';
import { type Reflector, startReflector } from '../../../src/kube/reflector.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../../src/simulation/settle-adapter.ts';
import { createVirtualClock, type VirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { credentialsFor, openHttp, type TestServer, useHttpsServers } from '../../support/https-server.ts';

const servers = useHttpsServers();

/** A collection of one object `a` whose text says how often the server has been asked. */
interface Play {
  readonly server: TestServer;
  readonly clock: VirtualClock;
  readonly reflector: Reflector<string>;
  /** Watches that run. */
  readonly watches: ServerResponse[];
  /** Answers to the next lists and watches instead of the usual ones. */
  readonly next: ((response: ServerResponse) => void)[];
  /** Lets time pass until it is so. */
  until(what: string, done: () => boolean): Promise<void>;
}

const object = (name: string, version: number, text: string): object => ({
  metadata: { name, uid: `uid-${name}`, resourceVersion: String(version) },
  text,
});
const added = (name: string, version: number, text: string): string =>
  `${JSON.stringify({ type: 'ADDED', object: object(name, version, text) })}\n`;

let play: Play;

beforeEach(async () => {
  const server = await servers.start();
  const watches: ServerResponse[] = [];
  const next: ((response: ServerResponse) => void)[] = [];
  let version = 10;
  server.handle = (request, response) => {
    const instead = next.shift();
    if (instead !== undefined) return instead(response);
    if (request.url?.includes('watch=1') === true) {
      response.flushHeaders();
      watches.push(response);
      return undefined;
    }
    version += 10;
    response.end(JSON.stringify({ metadata: { resourceVersion: String(version) }, items: [object('a', 5, 'first')] }));
    return undefined;
  };
  const clock = createVirtualClock({ settle: settleByImmediate });
  const credentials = credentialsFor(server);
  const connection = createApiConnection({
    http: openHttp(servers, server, { credentials }),
    credentials,
    clock,
    server: { host: '127.0.0.1', port: server.port },
    userAgent: 'test',
  });
  const reflector = startReflector({
    connection,
    clock,
    random: createSeededRandom(1),
    path: '/xs',
    keep: (kept) => kept.text as string,
    onChange: () => undefined,
  });
  servers.after(() => reflector.close());
  const until = async (what: string, done: () => boolean): Promise<void> => {
    for (const end = Date.now() + 20_000; !done(); await sleep(2)) {
      if (Date.now() > end) throw new Error(`it never came to: ${what}`);
      await clock.advance(500);
    }
  };
  play = { server, clock, reflector, watches, next, until };
  await until('the first watch', () => watches.length === 1);
});

const item = (name: string): string | undefined => play.reflector.state.items?.get(name);
const problem = (): string | null => play.reflector.state.problem?.code ?? null;

describe('a reflector on real sockets', () => {
  it('reads events whose bytes come one by one, also within characters', async () => {
    const bytes = Buffer.from(added('b', 100, 'größe € 💡') + added('c', 101, 'ß'));
    play.watches[0]?.socket?.setNoDelay(true);
    for (const byte of bytes) {
      play.watches[0]?.write(Buffer.from([byte]));
      await settleByImmediate();
    }
    await play.until('both', () => item('c') !== undefined);
    expect([item('b'), item('c')]).toEqual(['größe € 💡', 'ß']);
  });

  it('goes on after a reset in the middle of a line', async () => {
    const [watch] = play.watches;
    watch?.write(added('b', 100, 'whole') + added('c', 101, 'half').slice(0, 40));
    await play.until('the whole one', () => item('b') === 'whole');
    watch?.socket?.destroy();
    await play.until('another watch', () => play.watches.length === 2);
    expect(play.server.requests.at(-1)).toContain('resourceVersion=100');
    expect([item('a'), item('b'), item('c')]).toEqual(['first', 'whole', undefined]);
    expect(problem()).toBeNull();
  });

  it('gives up a watch that is half open, and one socket is not left behind', async () => {
    play.watches[0]?.write(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"60"}}}\n`);
    await play.until('the bookmark', () => play.reflector.state.resourceVersion === '60');
    const before = play.clock.monotonic();
    await play.until('another watch', () => play.watches.length === 2);
    const waited = play.clock.monotonic() - before;
    expect(waited).toBeGreaterThan(190_000);
    // Else it would be given up only after the time it was asked to end.
    expect(waited).toBeLessThan(300_000);
    // One kept for requests, one for the new watch.
    await expect.poll(() => play.server.sockets.size).toBe(2);
  });

  it('keeps everything while lists break off, are no JSON, or end too early, and asks at its own pace', async () => {
    const gone = '{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}\n';
    const bad: readonly (readonly [code: string, answer: (response: ServerResponse) => void])[] = [
      ['Unreachable', (response) => response.destroy()],
      ['BadAnswer', (response) => response.end('<html>')],
      ['BadAnswer', (response) => response.end('{"items":[]}')],
      [
        'Unreachable',
        (response) => {
          response.writeHead(200, { 'content-length': '1000' });
          response.write('{"metadata":{"resourceVersion":"99"},"items":[', () => response.destroy());
        },
      ],
      [
        'Throttled',
        (response) => {
          response.writeHead(429, { 'retry-after': '7' });
          response.end('{}');
        },
      ],
    ];
    for (const [code, answer] of bad) {
      const { length } = play.watches;
      // A reset on a kept connection is asked about once more.
      play.next.push(answer, answer);
      play.watches.at(-1)?.write(gone);
      await play.until(code, () => problem() === code);
      expect(item('a')).toBe('first');
      play.next.length = 0;
      await play.until('another watch', () => play.watches.length === length + 1 && problem() === null);
    }
  });

  it('comes back to a server that was restarted on the same port with another certificate authority not at all', async () => {
    const { port } = play.server;
    await play.server.close();
    await play.until('Unreachable', () => problem() === 'Unreachable');
    const other = await servers.start({ port });
    await play.until('its certificate refused', () => /certificate/i.test(play.reflector.state.problem?.message ?? ''));
    expect(other.requests).toEqual([]);
    expect(item('a')).toBe('first');
  });
});

// The operator's door, on a real loopback socket.
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ListenError, type OpsServer, startOpsServer, type Verdict } from '../../../src/runtime/ops-server-adapter.ts';

const servers: OpsServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(parts: {
  readonly metrics?: () => Promise<string>;
  readonly ready?: () => Verdict;
  readonly port?: number;
}): Promise<OpsServer> {
  const server = await startOpsServer({
    host: '127.0.0.1',
    port: parts.port ?? 0,
    metrics: parts.metrics ?? (() => Promise.resolve('up 1\n')),
    health: () => ({ ok: true, message: 'alive' }),
    ready: parts.ready ?? (() => ({ ok: true, message: 'ready' })),
  });
  servers.push(server);
  return server;
}

async function get({ port }: OpsServer, path: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, await response.text()];
}

/** Sends a request line that no client would build, and returns the status line of the answer. */
function say({ port }: OpsServer, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`));
    socket.on('data', (data) => (answer += data.toString()));
    socket.on('end', () => resolve(answer.split('\r\n', 1)[0] ?? ''));
    socket.on('error', reject);
  });
}

describe('the ops server', () => {
  it('answers health, readiness and metrics', async () => {
    const server = await serve({});
    expect(await get(server, '/healthz')).toEqual([200, 'alive\n']);
    expect(await get(server, '/readyz?verbose')).toEqual([200, 'ready\n']);
    expect(await get(server, '/metrics')).toEqual([200, 'up 1\n']);
    expect(await get(server, '/')).toEqual([404, 'known: /metrics /healthz /readyz\n']);
  });

  it('asks anew each time, and says what is wrong', async () => {
    let verdict: Verdict = { ok: false, message: 'not registered with kubelet: x.io/gpu' };
    const server = await serve({ ready: () => verdict });
    expect(await get(server, '/readyz')).toEqual([503, 'not registered with kubelet: x.io/gpu\n']);
    verdict = { ok: true, message: 'ready' };
    expect(await get(server, '/readyz')).toEqual([200, 'ready\n']);
  });

  it('outlives metrics that fail and requests that are none', async () => {
    const server = await serve({ metrics: () => Promise.reject(new Error('no metrics')) });
    expect(await get(server, '/metrics')).toEqual([500, 'Error: no metrics\n']);
    expect(await say(server, 'GET // HTTP/1.1')).toMatch(/^HTTP\/1\.1 404/);
    expect(await say(server, 'GET http://[ HTTP/1.1')).toMatch(/^HTTP\/1\.1 4/);
    expect(await say(server, 'nonsense')).toMatch(/^HTTP\/1\.1 400/);
    expect(await get(server, '/healthz')).toEqual([200, 'alive\n']);
  });

  it('says which address is taken', async () => {
    const { port } = await serve({});
    const second = serve({ port });
    await expect(second).rejects.toThrow(ListenError);
    await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${port} (EADDRINUSE): another agent`);
  });

  it('closes also while a client keeps its connection', async () => {
    const server = await serve({});
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    await server.close();
    servers.length = 0;
    await expect(get(server, '/healthz')).rejects.toThrow();
    socket.destroy();
  });
});

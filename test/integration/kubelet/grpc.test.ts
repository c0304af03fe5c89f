// One suite for gRPC over real unix sockets and for the one in memory: what the lifecycle relies on holds on both.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGrpc } from '../../../src/kubelet/grpc-adapter.ts';
import { GrpcError, grpcCodes } from '../../../src/kubelet/ports.ts';
import type { Grpc, OutgoingStream, Route } from '../../../src/kubelet/ports.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import type { Files } from '../../../src/runtime/ports.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../../src/simulation/memory-grpc.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (message: Uint8Array) => new TextDecoder().decode(message);

function real(): { grpc: Grpc; files: Files; directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'grpc-'));
  return { grpc: createGrpc(), files: createFiles(), directory, remove: () => rmSync(directory, { recursive: true }) };
}

function simulated(): ReturnType<typeof real> {
  const files = createMemoryFiles({ entries: { '/run': { directory: {} } } });
  return { grpc: createMemoryGrpc(files, createClock()), files, directory: '/run', remove: () => undefined };
}

describe.each([
  ['on real sockets', real],
  ['in memory', simulated],
])('gRPC %s', (_name, create) => {
  let world: ReturnType<typeof real>;
  let path: string;
  let streams: OutgoingStream[];
  const routes: readonly Route[] = [
    { kind: 'unary', path: '/t.S/Echo', answer: (request) => Promise.resolve(request) },
    {
      kind: 'unary',
      path: '/t.S/Fail',
      answer: (request) => {
        const code = grpcCodes.find((name) => name === text(request));
        return Promise.reject(code === undefined ? new TypeError('a mistake') : new GrpcError(code, `said ${code}`));
      },
    },
    { kind: 'unary', path: '/t.S/Never', answer: () => new Promise(() => undefined) },
    { kind: 'stream', path: '/t.S/Watch', open: (_request, stream) => void streams.push(stream) },
  ];
  beforeEach(() => {
    world = create();
    path = `${world.directory}/t.sock`;
    streams = [];
  });
  afterEach(() => world.remove());

  const settled = (what: () => boolean) => expect.poll(what, { timeout: 5000, interval: 5 }).toBe(true);

  it('answers, also something empty and something large', async () => {
    const server = await world.grpc.serve(path, routes);
    const channel = world.grpc.connect(path);
    for (const size of [0, 5, 3_000_000]) {
      expect((await channel.call('/t.S/Echo', new Uint8Array(size), 5000)).length).toBe(size);
    }
    channel.close();
    await server.close(100);
  });

  it('carries every code and the sentence; another error is Unknown', async () => {
    const server = await world.grpc.serve(path, routes);
    const channel = world.grpc.connect(path);
    for (const code of grpcCodes) {
      await expect(channel.call('/t.S/Fail', bytes(code), 5000)).rejects.toMatchObject({
        code,
        message: `said ${code}`,
      });
    }
    await expect(channel.call('/t.S/Fail', bytes('x'), 5000)).rejects.toMatchObject({
      code: 'Unknown',
      message: 'a mistake',
    });
    await expect(channel.call('/t.S/Nothing', bytes(''), 5000)).rejects.toMatchObject({ code: 'Unimplemented' });
    channel.close();
    await server.close(100);
  });

  it('ends a call at its deadline, at the channel’s close, and at the server’s end', async () => {
    const server = await world.grpc.serve(path, routes);
    const [first, second] = [world.grpc.connect(path), world.grpc.connect(path)];
    await expect(first.call('/t.S/Never', bytes(''), 20)).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    const closed = expect(first.call('/t.S/Never', bytes(''), 5000)).rejects.toMatchObject({ code: 'Cancelled' });
    const lost = expect(second.call('/t.S/Never', bytes(''), 5000)).rejects.toBeInstanceOf(GrpcError);
    await new Promise((resolve) => setTimeout(resolve, 50));
    first.close();
    await closed;
    await server.close(10);
    await lost;
    second.close();
  });

  it('says Unavailable where nobody listens, and tells absent from refused', async () => {
    const channel = world.grpc.connect(path);
    await expect(channel.call('/t.S/Echo', bytes(''), 5000)).rejects.toMatchObject({ code: 'Unavailable' });
    channel.close();
    expect(await world.grpc.probe(path)).toBe('Absent');
    const server = await world.grpc.serve(path, routes);
    expect(await world.grpc.probe(path)).toBe('Listening');
    await world.files.rename(path, `${path}.renamed`);
    expect(await world.grpc.probe(`${path}.renamed`)).toBe('Listening');
    await server.close(10);
    expect(await world.grpc.probe(`${path}.renamed`)).toBe('Refused');
    expect(await world.grpc.probe(path)).toBe('Absent');
  });

  it('does not listen where a file is, and removes its own at the end', async () => {
    const server = await world.grpc.serve(path, routes);
    await expect(world.grpc.serve(path, routes)).rejects.toMatchObject({ code: 'AlreadyExists' });
    expect(await world.grpc.probe(path)).toBe('Listening');
    await server.close(10);
    expect(await world.grpc.probe(path)).toBe('Absent');
  });

  it('streams messages in order until the server ends it', async () => {
    const server = await world.grpc.serve(path, routes);
    const channel = world.grpc.connect(path);
    const heard: (string | null)[] = [];
    channel.open('/t.S/Watch', bytes(''), {
      onMessage: (message) => heard.push(text(message)),
      onEnd: (error) => heard.push(error === null ? null : error.code),
    });
    await settled(() => streams.length === 1);
    let ended = 0;
    streams[0]?.onEnd(() => (ended += 1));
    for (const message of ['a', 'b', 'c']) streams[0]?.send(bytes(message));
    streams[0]?.end();
    streams[0]?.send(bytes('too late'));
    streams[0]?.end();
    expect(ended).toBe(1);
    streams[0]?.onEnd(() => (ended += 1));
    expect(ended).toBe(2);
    await settled(() => heard.length === 4);
    expect(heard).toEqual(['a', 'b', 'c', null]);
    channel.close();
    await server.close(100);
  });

  it('tells both ends of a stream once when the client cancels, when the channel closes, when the server goes', async () => {
    const server = await world.grpc.serve(path, routes);
    const heard: string[] = [];
    const ended: number[] = [];
    const open = async (index: number) => {
      const channel = world.grpc.connect(path);
      const stream = channel.open('/t.S/Watch', bytes(''), {
        onMessage: () => undefined,
        onEnd: (error) => heard.push(`${index} ${error === null ? 'ended' : 'failed'}`),
      });
      await settled(() => streams.length === index + 1);
      streams[index]?.onEnd(() => ended.push(index));
      return { channel, stream };
    };
    const [a, b, c] = [await open(0), await open(1), await open(2)];
    a.stream.cancel();
    await settled(() => ended.length === 1 && heard.length === 1);
    b.channel.close();
    await settled(() => ended.length === 2 && heard.length === 2);
    await server.close(10);
    await settled(() => ended.length === 3 && heard.length === 3);
    expect(heard).toEqual(['0 failed', '1 failed', '2 failed']);
    expect(ended).toEqual([0, 1, 2]);
    a.channel.close();
    c.channel.close();
  });

  it('fails a stream where nobody listens or the method is unknown', async () => {
    const heard: string[] = [];
    const open = (method: string) => {
      const channel = world.grpc.connect(path);
      channel.open(method, bytes(''), {
        onMessage: () => undefined,
        onEnd: (error) => {
          heard.push(error?.code ?? 'none');
          channel.close();
        },
      });
    };
    open('/t.S/Watch');
    await settled(() => heard.length === 1);
    const server = await world.grpc.serve(path, routes);
    open('/t.S/Nothing');
    await settled(() => heard.length === 2);
    expect(heard).toEqual(['Unavailable', 'Unimplemented']);
    await server.close(100);
  });
});

describe('gRPC on real sockets alone', () => {
  it('has the limits of kubelet’s own client: 4 MiB unless more is allowed', async () => {
    const { grpc, directory, remove } = real();
    const path = join(directory, 't.sock');
    const large = new Uint8Array(5_000_000);
    const server = await grpc.serve(path, [
      { kind: 'unary', path: '/t.S/Large', answer: () => Promise.resolve(large) },
    ]);
    const [narrow, wide] = [grpc.connect(path), grpc.connect(path, { receiveLimit: 16 * 1024 * 1024 })];
    await expect(narrow.call('/t.S/Large', bytes(''), 5000)).rejects.toMatchObject({ code: 'ResourceExhausted' });
    expect((await wide.call('/t.S/Large', bytes(''), 5000)).length).toBe(large.length);
    narrow.close();
    wide.close();
    await server.close(100);
    remove();
  });

  it('cannot listen in a directory that is not there', async () => {
    await expect(createGrpc().serve('/nonexistent/t.sock', [])).rejects.toBeInstanceOf(GrpcError);
  });
});

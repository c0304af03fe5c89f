import { describe, expect, it } from 'vitest';
import { type ApiConnection, createApiConnection, saidBy } from '../../../src/kube/api-connection.ts';
import { type Credentials, CredentialsError, HttpError } from '../../../src/kube/ports.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { type ScriptedAnswer, type ScriptedHttp, scriptHttp } from '../../support/scripted-http.ts';
import { anonymous } from '../../support/simulated-api.ts';

function connect(
  script: readonly (ScriptedAnswer | Error)[],
  options: { readonly credentials?: Credentials; readonly maxAnswerBytes?: number; readonly pathPrefix?: string } = {},
): {
  readonly connection: ApiConnection;
  readonly http: ScriptedHttp;
  readonly clock: ReturnType<typeof createVirtualClock>;
} {
  const http = scriptHttp(script);
  const clock = createVirtualClock({ startsAt: Date.UTC(2026, 10, 22) });
  const server = { host: 'api.example', port: 6443 };
  const connection = createApiConnection({
    http,
    credentials: anonymous,
    clock,
    server,
    userAgent: 'test',
    ...options,
  });
  return { connection, http, clock };
}

const get = { method: 'GET', path: '/x' } as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a request', () => {
  it('sends JSON with who we are, and reads JSON', async () => {
    const credentials = { ...anonymous, token: () => 'secret' };
    const { connection, http } = connect([{ status: 201, body: { a: 1 } }], { credentials, pathPrefix: '/k8s/c1' });
    const answer = await connection.request({
      method: 'PATCH',
      path: '/x',
      query: { fieldManager: 'a b', force: 'true' },
      body: { b: 2 },
      contentType: 'application/apply-patch+yaml',
    });
    expect(answer).toEqual({ status: 201, body: { a: 1 }, retryAfter: null });
    expect(http.requests).toEqual([
      {
        method: 'PATCH',
        path: '/k8s/c1/x?fieldManager=a+b&force=true',
        headers: {
          accept: 'application/json',
          'user-agent': 'test',
          authorization: 'Bearer secret',
          'content-type': 'application/apply-patch+yaml',
        },
        body: '{"b":2}',
      },
    ]);
    expect(connection.sent).toEqual({ GET: 0, POST: 0, PUT: 0, PATCH: 1, DELETE: 0, WATCH: 0 });
  });

  it('reads text that is cut within a character', async () => {
    const text = bytes('{"a":"größe 💡"}');
    const pieces = Array.from(text, (_byte, index) => text.subarray(index, index + 1));
    expect((await connect([{ body: pieces }]).connection.request(get)).body).toEqual({ a: 'größe 💡' });
  });

  it.each([
    ['120', 120_000],
    ['Sun, 22 Nov 2026 00:01:00 GMT', 60_000],
    ['Sat, 21 Nov 2026 00:01:00 GMT', 0],
    ['soon', null],
  ])('reads Retry-After: %s', async (value, expected) => {
    const { connection } = connect([{ status: 429, headers: { 'retry-after': value }, body: {} }]);
    expect(await connection.request(get)).toMatchObject({ status: 429, retryAfter: expected });
  });

  it('takes the text of a proxy for an answer when the status is an error, and for none when it is not', async () => {
    const page = '<html>\n bad gateway</html>';
    const answer = await connect([{ status: 502, body: page }]).connection.request(get);
    expect(saidBy(answer)).toBe('status 502: <html> bad gateway</html>');
    await expect(connect([{ body: page }]).connection.request(get)).rejects.toMatchObject({
      code: 'BadAnswer',
      message: 'GET /x at api.example:6443: status 200 with a body that is not JSON',
    });
  });

  it.each([
    ['ECONNREFUSED', 'Unreachable'],
    ['CERT_HAS_EXPIRED', 'Unreachable'],
    ['ETIMEDOUT', 'Timeout'],
    ['ECANCELED', 'Closed'],
  ])('makes %s %s', async (code, expected) => {
    const { connection } = connect([new HttpError(code, `said ${code}`), { body: '{"half', breaks: code }]);
    const message = `GET /x at api.example:6443: said ${code}`;
    await expect(connection.request(get)).rejects.toMatchObject({ name: 'ApiError', code: expected, message });
    await expect(connection.request(get)).rejects.toMatchObject({ name: 'ApiError', code: expected });
  });

  it('does not wait for a body longer than its deadline', async () => {
    const { connection, clock, http } = connect([{ body: '{', hangs: true }]);
    const waiting = expect(connection.request({ ...get, deadline: 5000 })).rejects.toMatchObject({ code: 'Timeout' });
    await clock.advance(4999);
    expect(http.aborted()).toBe(0);
    await clock.advance(1);
    await waiting;
  });

  it('reads no more than it may', async () => {
    const { connection, http } = connect([{ body: 'x'.repeat(100), hangs: true }], { maxAnswerBytes: 99 });
    await expect(connection.request(get)).rejects.toMatchObject({ code: 'TooLarge' });
    expect(http.aborted()).toBe(1);
  });

  it('lets a programming error through as what it is', async () => {
    await expect(connect([new TypeError('ours')]).connection.request(get)).rejects.toThrow(TypeError);
  });
});

describe('credentials', () => {
  it('that cannot be read are an error of their own', async () => {
    const credentials = {
      ...anonymous,
      token: () => {
        throw new CredentialsError('cannot read the token');
      },
    };
    const { connection, http } = connect([], { credentials });
    await expect(connection.request(get)).rejects.toMatchObject({
      code: 'Credentials',
      message: 'cannot read the token',
    });
    await expect(connection.watch({ path: '/x', query: {} })).rejects.toMatchObject({ code: 'Credentials' });
    expect(http.requests).toEqual([]);
  });

  it('are looked at again after a 401, and shown again only when they are others', async () => {
    let token = 'old';
    const credentials = { ...anonymous, token: () => token, forget: () => void (token = 'new') };
    const { connection, http } = connect([{ status: 401, body: {} }, { body: {} }, { status: 401, body: {} }], {
      credentials,
    });
    expect(await connection.request(get)).toMatchObject({ status: 200 });
    expect(await connection.request(get)).toMatchObject({ status: 401 });
    expect(http.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer old',
      'Bearer new',
      'Bearer new',
    ]);
    expect(connection.sent.GET).toBe(3);
  });
});

describe('a watch', () => {
  const watch = { path: '/x', query: { watch: '1' } };
  const collect = async (events: AsyncIterable<unknown>): Promise<readonly unknown[]> => {
    const all: unknown[] = [];
    for await (const event of events) all.push(event);
    return all;
  };

  it('is one value per line, wherever the pieces are cut', async () => {
    const text = bytes('{"a":"💡"}\n\n{"b":2}\r\n{"c":3}\n');
    for (let size = 1; size <= text.length; size += 1) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
        text.subarray(index * size, (index + 1) * size),
      );
      const stream = await connect([{ body: pieces }]).connection.watch(watch);
      expect(await collect(stream.events)).toEqual([{ a: '💡' }, { b: 2 }, { c: 3 }]);
    }
  });

  it('throws at a line that is no JSON, at an end in mid-line, and at a line without end', async () => {
    for (const [body, code, max] of [
      ['{"a":1}\n<html>\n', 'BadAnswer', 1000],
      ['{"a":1}\n{"b":', 'BadAnswer', 1000],
      [`{"a":1}\n${'x'.repeat(200)}`, 'TooLarge', 100],
    ] as const) {
      const stream = await connect([{ body }], { maxAnswerBytes: max }).connection.watch(watch);
      await expect(collect(stream.events)).rejects.toMatchObject({ name: 'ApiError', code });
    }
  });

  it('says how it was cut, and that we ended it when we did', async () => {
    const cut = await connect([{ body: '{"a":1}\n', breaks: 'ECONNRESET' }]).connection.watch(watch);
    await expect(collect(cut.events)).rejects.toMatchObject({ code: 'Unreachable' });
    const { connection, http } = connect([{ body: '{"a":1}\n', hangs: true }]);
    const closed = await connection.watch(watch);
    const reading = expect(collect(closed.events)).rejects.toMatchObject({ code: 'Closed' });
    closed.close();
    await reading;
    expect(http.aborted()).toBeGreaterThan(0);
    expect(connection.sent).toMatchObject({ GET: 0, WATCH: 1 });
  });

  it('that is refused is an answer', async () => {
    const { connection } = connect([{ status: 403, body: { message: 'no' } }]);
    const stream = await connection.watch(watch);
    expect(stream.refused).toEqual({ status: 403, body: { message: 'no' }, retryAfter: null });
    expect(await collect(stream.events)).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import { createApiConnection } from '../../../src/kube/api-connection.ts';
import { listCollection, type ListResult } from '../../../src/kube/list-collection.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { type ScriptedAnswer, type ScriptedHttp, scriptHttp } from '../../support/scripted-http.ts';
import { anonymous } from '../../support/simulated-api.ts';

const item = (name: string, version = '5'): object => ({
  metadata: { name, uid: `uid-${name}`, resourceVersion: version },
});
const page = (version: string, next: string | undefined, ...items: readonly object[]): ScriptedAnswer => ({
  body: { kind: 'XList', metadata: { resourceVersion: version, continue: next }, items },
});

async function list(
  script: readonly (ScriptedAnswer | Error)[],
  notOlderThan: string | null = null,
): Promise<{ readonly result: ListResult<string>; readonly http: ScriptedHttp }> {
  const http = scriptHttp(script);
  const connection = createApiConnection({
    http,
    credentials: anonymous,
    clock: createVirtualClock(),
    server: { host: 'h', port: 1 },
    userAgent: 'test',
  });
  const result = await listCollection({
    connection,
    path: '/xs',
    selectors: { labelSelector: 'a=b' },
    pageSize: 2,
    notOlderThan,
    take: ({ metadata }) => ({ version: metadata.resourceVersion, uid: metadata.uid, kept: metadata.name }),
  });
  return { result, http };
}

describe('a list', () => {
  it('is the pages of one snapshot', async () => {
    const { result, http } = await list([page('9', 't1', item('a'), item('b')), page('9', '', item('c'))]);
    expect(result).toMatchObject({ complete: true, version: '9' });
    expect(result.complete && [...result.objects.keys()]).toEqual(['a', 'b', 'c']);
    expect(http.requests.map(({ path }) => path)).toEqual([
      '/xs?labelSelector=a%3Db&limit=2',
      '/xs?labelSelector=a%3Db&limit=2&continue=t1',
    ]);
  });

  it('asks for what is not older where a version is known, on the first page alone', async () => {
    const { http } = await list([page('9', 't1', item('a')), page('9', '', item('c'))], '7');
    expect(http.requests.map(({ path }) => path)).toEqual([
      '/xs?labelSelector=a%3Db&limit=2&resourceVersion=7&resourceVersionMatch=NotOlderThan',
      '/xs?labelSelector=a%3Db&limit=2&continue=t1',
    ]);
  });

  it.each([
    ['pages of two snapshots', [page('9', 't1', item('a')), page('8', '', item('b'))], 'Partial'],
    ['a name on two pages', [page('9', 't1', item('a')), page('9', '', item('a'))], 'BadAnswer'],
    ['a page that continues at itself', [page('9', 't1', item('a')), page('9', 't1', item('b'))], 'BadAnswer'],
    ['a later page that is gone', [page('9', 't1', item('a')), { status: 410, body: {} }], 'Partial'],
    ['a later page that is forbidden', [page('9', 't1', item('a')), { status: 403, body: {} }], 'Partial'],
    ['a later page that breaks off', [page('9', 't1', item('a')), { body: '{', breaks: 'ECONNRESET' }], 'Partial'],
    ['a first page that breaks off', [{ body: '{', breaks: 'ECONNRESET' }], 'Unreachable'],
    ['a version that is none', [page('x9', '')], 'BadAnswer'],
    ['a version with a leading zero', [page('09', '')], 'BadAnswer'],
    ['no items', [{ body: { metadata: { resourceVersion: '9' } } }], 'BadAnswer'],
    ['items that are null', [{ body: { metadata: { resourceVersion: '9' }, items: null } }], 'BadAnswer'],
    ['an item without a name', [page('9', '', { metadata: { uid: 'u', resourceVersion: '1' } })], 'BadAnswer'],
    ['an item that is null', [{ body: { metadata: { resourceVersion: '9' }, items: [null] } }], 'BadAnswer'],
    ['an empty answer', [{ body: '' }], 'BadAnswer'],
    ['a redirect', [{ status: 302, body: {} }], 'BadAnswer'],
    [
      'a server that has not come that far',
      [
        {
          status: 504,
          body: {
            message: 'Too large',
            details: { causes: [{ reason: 'ResourceVersionTooLarge' }], retryAfterSeconds: 3 },
          },
        },
      ],
      'Older',
    ],
  ] as const)('is none with %s', async (_name, script, code) => {
    const { result } = await list(script);
    expect(result).toMatchObject({ complete: false, failure: { problem: { code } } });
  });

  it('hands on what the server asked to wait, from the header or from the Status', async () => {
    const inHeader = await list([{ status: 503, headers: { 'retry-after': '7' }, body: {} }]);
    expect(inHeader.result).toMatchObject({ failure: { retryAfter: 7000 } });
    const inStatus = await list([{ status: 429, body: { details: { retryAfterSeconds: 3 } } }]);
    expect(inStatus.result).toMatchObject({ failure: { problem: { code: 'Throttled' }, retryAfter: 3000 } });
  });
});

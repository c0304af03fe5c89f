// Credentials that are replaced while a program runs, seen by a real server: tokens of a projected volume, kubelet's certificate, and
// a certificate authority.
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { type ApiConnection, createApiConnection } from '../../../src/kube/api-connection.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createAuthority } from '../../support/certificates.ts';
import {
  credentialsFor,
  get,
  openHttp,
  patience,
  readAnswer,
  type TestServer,
  useHttpsServers,
} from '../../support/https-server.ts';

const servers = useHttpsServers();
const inDirectory = (name: string): string => join(servers.directory(), name);
const replace = (name: string, content: string): void => {
  writeFileSync(inDirectory('next'), content);
  renameSync(inDirectory('next'), inDirectory(name));
};

describe('TLS material', () => {
  it('is a new authority once its file is replaced', async () => {
    const server = await servers.start();
    const file = inDirectory('ca.crt');
    writeFileSync(file, createAuthority('old').certificate);
    const http = openHttp(servers, server, { credentials: credentialsFor(server, { ca: { file } }) });
    await expect(http.send(get('/'), patience)).rejects.toMatchObject({ name: 'HttpError' });
    replace('ca.crt', server.authority.certificate);
    expect(await readAnswer(http, get('/'))).toBe('{}');
  });

  it('is never the authorities of the system because the file is empty', async () => {
    const server = await servers.start();
    writeFileSync(inDirectory('ca.crt'), '\n');
    const credentials = credentialsFor(server, { ca: { file: inDirectory('ca.crt') } });
    await expect(openHttp(servers, server, { credentials }).send(get('/'), patience)).rejects.toMatchObject({
      name: 'CredentialsError',
      message: expect.stringContaining('ca.crt'),
    });
  });

  it('is the new client certificate once kubelet has swapped its link, on a new connection', async () => {
    const clients = createAuthority('clients');
    const server = await servers.start({ clients });
    server.handle = (request, response) => {
      const { O: organization, CN: name } = (request.socket as TLSSocket).getPeerCertificate().subject;
      response.end(`${String(organization)} ${String(name)}`);
    };
    const point = (name: string, subject: string): void => {
      const { certificate, key } = clients.issue({ subject, organizations: ['system:nodes'] });
      writeFileSync(inDirectory(name), certificate + key);
      symlinkSync(name, inDirectory('next'));
      renameSync(inDirectory('next'), inDirectory('kubelet-client-current.pem'));
    };
    point('one.pem', 'system:node:a');
    const file = inDirectory('kubelet-client-current.pem');
    const http = openHttp(servers, server, {
      credentials: credentialsFor(server, { certificate: { file }, key: { file } }),
    });
    expect(await readAnswer(http, get('/'))).toBe('system:nodes system:node:a');
    expect(await readAnswer(http, get('/'))).toBe('system:nodes system:node:a');
    point('two.pem', 'system:node:b');
    expect(await readAnswer(http, get('/'))).toBe('system:nodes system:node:b');
    expect(server.connections()).toBe(2);
    await expect.poll(() => server.sockets.size).toBe(1);
  });
});

describe('a token', () => {
  const connect = (server: TestServer, file: string): ApiConnection => {
    const credentials = credentialsFor(server, { token: { file } });
    return createApiConnection({
      http: openHttp(servers, server, { credentials }),
      credentials,
      clock: createClock(),
      server: { host: '127.0.0.1', port: server.port },
      userAgent: 'test',
    });
  };
  const acceptOnly = (server: TestServer, token: () => string): void => {
    server.handle = (request, response) => {
      response.statusCode = request.headers.authorization === `Bearer ${token()}` ? 200 : 401;
      response.end('{"kind":"Status"}');
    };
  };

  it('is read again when its file was replaced, as a projected volume does it', async () => {
    const server = await servers.start();
    const publish = (version: string, token: string): void => {
      writeFileSync(inDirectory(version), token);
      symlinkSync(version, inDirectory('next'));
      renameSync(inDirectory('next'), inDirectory('token'));
    };
    let valid = 'one';
    acceptOnly(server, () => valid);
    publish('v1', 'one\n');
    const connection = connect(server, inDirectory('token'));
    expect(await connection.request({ method: 'GET', path: '/' })).toMatchObject({ status: 200 });
    valid = 'two';
    expect(await connection.request({ method: 'GET', path: '/' })).toMatchObject({ status: 401 });
    publish('v2', 'two');
    expect(await connection.request({ method: 'GET', path: '/' })).toMatchObject({ status: 200 });
    expect(connection.sent.GET).toBe(3);
  });

  it('is shown once more after a 401 when the file changed meanwhile, also for a watch', async () => {
    const server = await servers.start();
    for (const ask of [
      (connection: ApiConnection) => connection.request({ method: 'GET', path: '/' }),
      (connection: ApiConnection) => connection.watch({ path: '/', query: { watch: '1' } }),
    ]) {
      writeFileSync(inDirectory('token'), 'one');
      server.handle = (request, response) => {
        replace('token', 'two');
        response.statusCode = request.headers.authorization === 'Bearer two' ? 200 : 401;
        response.end('{}\n');
      };
      const answer = await ask(connect(server, inDirectory('token')));
      expect('refused' in answer ? answer.refused : answer.status).toBe('refused' in answer ? null : 200);
    }
    expect(server.requests).toHaveLength(4);
  });

  it('serves on while its file is away or empty for a moment', async () => {
    const server = await servers.start();
    writeFileSync(inDirectory('token'), 'one');
    acceptOnly(server, () => 'one');
    const connection = connect(server, inDirectory('token'));
    await connection.request({ method: 'GET', path: '/' });
    replace('token', '');
    expect(await connection.request({ method: 'GET', path: '/' })).toMatchObject({ status: 200 });
    rmSync(inDirectory('token'));
    expect(await connection.request({ method: 'GET', path: '/' })).toMatchObject({ status: 200 });
  });

  it('that was never there, or is none, is an error that names its file; nothing is sent', async () => {
    const server = await servers.start();
    await expect(connect(server, inDirectory('never')).request({ method: 'GET', path: '/' })).rejects.toMatchObject({
      name: 'ApiError',
      code: 'Credentials',
      message: expect.stringContaining('never: ENOENT'),
    });
    for (const text of ['', 'two words', 'ünï']) {
      writeFileSync(inDirectory('bad'), text);
      await expect(connect(server, inDirectory('bad')).request({ method: 'GET', path: '/' })).rejects.toMatchObject({
        code: 'Credentials',
        message: expect.stringContaining(inDirectory('bad')),
      });
    }
    expect(server.requests).toEqual([]);
  });
});

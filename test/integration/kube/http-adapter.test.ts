// The HTTPS adapter against a real server on loopback: whom it trusts, how many connections it makes, deadlines, and every way in
// which an answer can break.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { credentialsFor, get, openHttp, patience, readAnswer, useHttpsServers } from '../../support/https-server.ts';

const servers = useHttpsServers();

describe('trust', () => {
  it('takes a server whose certificate its authority signed for the address that is dialled', async () => {
    const server = await servers.start();
    expect(await readAnswer(openHttp(servers, server), get('/'))).toBe('{}');
  });

  it('takes IPv6 addresses and names', async () => {
    const server = await servers.start({ host: '::1' });
    server.handle = (request, response) => response.end(request.headers.host);
    expect(await readAnswer(openHttp(servers, server, { host: '::1' }), get('/'))).toBe(`[::1]:${server.port}`);
    const byName = await servers.start();
    byName.handle = (request, response) => response.end(request.headers.host);
    const text = await readAnswer(openHttp(servers, byName, { host: 'localhost' }), get('/'));
    expect(text).toBe(`localhost:${byName.port}`);
  });

  it('refuses a certificate of another authority, or for another name, and says which', async () => {
    const server = await servers.start({ names: ['10.0.0.1'] });
    const credentials = credentialsFor(server, { ca: { text: createAuthority('other').certificate } });
    await expect(openHttp(servers, server, { credentials }).send(get('/'), patience)).rejects.toMatchObject({
      name: 'HttpError',
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
    await expect(openHttp(servers, server).send(get('/'), patience)).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(server.requests).toEqual([]);
  });

  it('takes the name that the server shall have instead of its address', async () => {
    const server = await servers.start({ names: ['kubernetes.default.svc'] });
    const credentials = credentialsFor(server, { serverName: 'kubernetes.default.svc' });
    expect(await readAnswer(openHttp(servers, server, { credentials }), get('/'))).toBe('{}');
  });

  it('fails, and does not end the process, when the authority is no certificate', async () => {
    const server = await servers.start();
    for (const text of ['nonsense', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n']) {
      const credentials = credentialsFor(server, { ca: { text } });
      await expect(openHttp(servers, server, { credentials }).send(get('/'), patience)).rejects.toMatchObject({
        name: 'HttpError',
      });
    }
  });
});

it('fails, and does not end the process, when the client certificate is none or lacks its key', async () => {
  const server = await servers.start();
  const mine = createAuthority('clients').issue({ subject: 'a' });
  const other = createAuthority('clients').issue({ subject: 'b' });
  for (const [certificate, key] of [
    ['nonsense', mine.key],
    [mine.certificate, 'nonsense'],
    [mine.certificate, other.key],
  ] as const) {
    const credentials = credentialsFor(server, { certificate: { text: certificate }, key: { text: key } });
    await expect(openHttp(servers, server, { credentials }).send(get('/'), patience)).rejects.toMatchObject({
      name: 'HttpError',
    });
  }
});

describe('connections', () => {
  it('sends all requests over one, and each watch over its own', async () => {
    const server = await servers.start();
    const http = openHttp(servers, server);
    for (let count = 0; count < 5; count += 1) await readAnswer(http, get(`/${count}`));
    await Promise.all([readAnswer(http, get('/a')), readAnswer(http, get('/b'))]);
    expect(server.connections()).toBe(1);
    server.handle = (_request, response) => void response.write('x');
    const watches = [
      await http.send(get('/w1'), { ...patience, ownConnection: true }),
      await http.send(get('/w2'), { ...patience, ownConnection: true }),
    ];
    expect(server.connections()).toBe(3);
    server.handle = (_request, response) => response.end('{}');
    await readAnswer(http, get('/c'));
    expect(server.connections()).toBe(3);
    for (const watch of watches) watch.abort();
  });

  it('reads once more when the server closed the kept connection in that very moment, but repeats no write', async () => {
    const server = await servers.start();
    const http = openHttp(servers, server);
    await readAnswer(http, get('/first'));
    // The socket dies at the next request, before a byte of the answer.
    const dieOnce = (): void => {
      server.handle = (request) => {
        server.handle = (_again, response) => response.end('{}');
        request.socket.destroy();
      };
    };
    dieOnce();
    expect(await readAnswer(http, get('/second'))).toBe('{}');
    dieOnce();
    await expect(http.send({ ...get('/third'), method: 'PATCH', body: '{}' }, patience)).rejects.toMatchObject({
      code: 'ECONNRESET',
    });
    expect(server.requests).toEqual(['GET /first', 'GET /second', 'GET /second', 'PATCH /third']);
  });

  it('follows no redirect', async () => {
    const [server, elsewhere] = [await servers.start(), await servers.start()];
    server.handle = (_request, response) => {
      response.writeHead(302, { location: `https://127.0.0.1:${elsewhere.port}/` });
      response.end();
    };
    const answer = await openHttp(servers, server).send(get('/'), patience);
    expect(answer.status).toBe(302);
    answer.abort();
    expect(elsewhere.connections()).toBe(0);
  });

  it('heeds no proxy variable', async () => {
    const server = await servers.start();
    const ca = join(servers.directory(), 'ca.crt');
    writeFileSync(ca, server.authority.certificate);
    const code = `
      import { createHttp } from './src/kube/http-adapter.ts';
      import { readFileSync } from 'node:fs';
      const tls = { ca: readFileSync(${JSON.stringify(ca)}, 'utf8'), certificate: null, key: null, serverName: null };
      const http = createHttp({ server: { host: '127.0.0.1', port: ${server.port} }, credentials: { tls: () => tls } });
      await http.send({ method: 'GET', path: '/', headers: {}, body: null }, { deadline: 5000, ownConnection: false })
        .then((answer) => console.log(answer.status), (error) => console.log(error.code));
      http.close();
    `;
    const proxy = 'http://127.0.0.1:9';
    const env = { ...process.env, NODE_USE_ENV_PROXY: '1', HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: '' };
    const child = await run(['--input-type=module', '-e', code], env);
    expect(child).toBe('200\n');
    expect(server.requests).toEqual(['GET /']);
  });

  it('ends everything with close', async () => {
    const server = await servers.start();
    const http = openHttp(servers, server);
    server.handle = (_request, response) => void response.write('{');
    const answer = await http.send(get('/'), { ...patience, ownConnection: true });
    server.handle = () => undefined;
    const waiting = http.send(get('/never'), patience);
    const refused = expect(waiting).rejects.toMatchObject({ code: 'ECANCELED' });
    const reading = answer.body[Symbol.asyncIterator]();
    await reading.next();
    const broken = expect(reading.next()).rejects.toMatchObject({ name: 'HttpError' });
    await expect.poll(() => server.requests.length).toBe(2);
    http.close();
    await Promise.all([refused, broken]);
    await expect(http.send(get('/'), patience)).rejects.toMatchObject({ code: 'ECANCELED' });
    await expect.poll(() => server.sockets.size).toBe(0);
  });
});

describe('answers that break', () => {
  it('gives up when the headers do not come in time', async () => {
    const server = await servers.start();
    server.handle = () => undefined;
    await expect(openHttp(servers, server).send(get('/'), { ...patience, deadline: 200 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
  });

  it('gives up likewise what waits for the connection, and has one again afterwards', async () => {
    const server = await servers.start();
    const http = openHttp(servers, server);
    server.handle = () => undefined;
    const both = ['/a', '/b'].map((path) => http.send(get(path), { ...patience, deadline: 300 }));
    for (const one of both) await expect(one).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    server.handle = (_request, response) => response.end('{}');
    expect(await readAnswer(http, get('/c'))).toBe('{}');
  });

  it('says so when nobody listens', async () => {
    const server = await servers.start();
    const http = openHttp(servers, server);
    await server.close();
    await expect(http.send(get('/'), patience)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('throws at a body that is cut', async () => {
    const server = await servers.start();
    for (const headers of [{ 'content-length': '100' }, {}]) {
      server.handle = (request, response) => {
        response.writeHead(200, headers);
        response.write('{"half":');
        setImmediate(() => request.socket.destroy());
      };
      await expect(readAnswer(openHttp(servers, server), get('/'))).rejects.toMatchObject({ name: 'HttpError' });
    }
  });

  it('takes what is no HTTP as no answer', async () => {
    const server = await servers.start();
    server.handle = (request) => void request.socket.end('SSH-2.0-OpenSSH_9.9\r\n');
    await expect(openHttp(servers, server).send(get('/'), patience)).rejects.toMatchObject({ name: 'HttpError' });
  });

  it('lets go of an answer that is given up', async () => {
    const server = await servers.start();
    server.handle = (_request, response) => void response.write('x');
    const answer = await openHttp(servers, server).send(get('/'), { ...patience, ownConnection: true });
    answer.abort();
    await expect(answer.body[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ECANCELED' });
    await expect.poll(() => server.sockets.size).toBe(0);
  });
});

/** What a Node process prints. */
function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env, encoding: 'utf8' }, (_error, stdout, stderr) => resolve(stdout + stderr));
  });
}

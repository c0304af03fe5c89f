// A real HTTPS server on loopback for tests: each request goes to a handler that the test replaces at will; connections are counted.
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach } from 'vitest';
import { createFileCredentials, type CredentialSources } from '../../src/kube/file-credentials.ts';
import { createHttp } from '../../src/kube/http-adapter.ts';
import type { Credentials, Http, HttpOptions, HttpRequest } from '../../src/kube/ports.ts';
import { createFiles } from '../../src/runtime/files-adapter.ts';
import { type Authority, createAuthority } from './certificates.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface TestServer {
  readonly authority: Authority;
  readonly port: number;
  handle: Handler;
  /** Requests as `METHOD path`, in turn. */
  readonly requests: string[];
  /** Connections made so far, and the sockets that are open. */
  readonly connections: () => number;
  readonly sockets: ReadonlySet<TLSSocket>;
  close(): Promise<void>;
}

export interface TestServerOptions {
  readonly host?: string;
  /** Default: a free one. */
  readonly port?: number;
  readonly authority?: Authority;
  /** Ask clients for certificates of this authority. */
  readonly clients?: Authority;
  readonly names?: readonly string[];
}

/** Listens on a free port. */
async function startHttpsServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { host = '127.0.0.1', authority = createAuthority('test authority'), clients } = options;
  const issued = authority.issue({ subject: 'server', names: options.names ?? ['127.0.0.1', '::1', 'localhost'] });
  const requests: string[] = [];
  const sockets = new Set<TLSSocket>();
  let connections = 0;
  const state = { handle: ((_request, response) => response.end('{}')) as Handler };
  const server = createServer(
    {
      cert: issued.certificate,
      key: issued.key,
      ...(clients === undefined ? {} : { ca: clients.certificate, requestCert: true, rejectUnauthorized: false }),
    },
    (request, response) => {
      requests.push(`${request.method} ${request.url}`);
      state.handle(request, response);
    },
  );
  server.keepAliveTimeout = 60_000;
  server.on('secureConnection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(options.port ?? 0, host, resolve);
  });
  return {
    authority,
    port: (server.address() as AddressInfo).port,
    get handle() {
      return state.handle;
    },
    set handle(handler) {
      state.handle = handler;
    },
    requests,
    connections: () => connections,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Servers, clients and a directory that go with each test. */
export interface HttpsServers {
  start(options?: TestServerOptions): Promise<TestServer>;
  directory(): string;
  /** Called when the test ends. */
  after(close: () => unknown): void;
}

/** To be called at the top of a test file. */
export function useHttpsServers(): HttpsServers {
  let directory = '';
  let closers: (() => unknown)[] = [];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'https-servers-'));
  });
  afterEach(async () => {
    for (const close of closers) await close();
    closers = [];
    rmSync(directory, { recursive: true });
  });
  return {
    directory: () => directory,
    after: (close) => void closers.push(close),
    async start(options) {
      const server = await startHttpsServer(options);
      closers.push(() => server.close());
      return server;
    },
  };
}

/** Credentials that trust the server, with what the test wants else. */
export function credentialsFor(server: TestServer, sources: Partial<CredentialSources> = {}): Credentials {
  const ca = { text: server.authority.certificate };
  const usual = { token: null, ca, certificate: null, key: null, serverName: null };
  return createFileCredentials(createFiles(), { ...usual, ...sources });
}

/** A client of the server, by default by its IPv4 address. */
export function openHttp(
  servers: HttpsServers,
  server: TestServer,
  options: { readonly host?: string; readonly credentials?: Credentials } = {},
): Http {
  const { host = '127.0.0.1', credentials = credentialsFor(server) } = options;
  const http = createHttp({ server: { host, port: server.port }, credentials });
  servers.after(() => http.close());
  return http;
}

export const patience: HttpOptions = { deadline: 20_000, ownConnection: false };

export const get = (path: string): HttpRequest => ({ method: 'GET', path, headers: {}, body: null });

/** Sends and reads to the end. */
export async function readAnswer(http: Http, request: HttpRequest): Promise<string> {
  const answer = await http.send(request, patience);
  let text = '';
  for await (const piece of answer.body) text += Buffer.from(piece).toString();
  return text;
}

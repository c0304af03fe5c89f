// HTTPS to the one API server, over node:https. Guarantees: it dials that server and nothing else (no redirect is followed, proxy
// variables mean nothing); requests share one kept-alive connection, each watch has its own; a dead peer is found by TCP keep-alive
// and by the deadline for the headers; what the credentials say now is what a new connection shows.
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Agent } from 'node:https';
import type { Socket } from 'node:net';
import {
  type Credentials,
  type Http,
  type HttpAnswer,
  HttpError,
  type HttpOptions,
  type HttpRequest,
  type TlsMaterial,
} from './ports.ts';

// Loaded this way it costs the process nothing but what it uses; an ES import evaluates every export of the module.
const https = process.getBuiltinModule('node:https');

export interface HttpAdapterOptions {
  readonly server: { readonly host: string; readonly port: number };
  readonly credentials: Pick<Credentials, 'tls'>;
  /** Connections for requests that are no watches; default 1. */
  readonly connections?: number;
}

/** Idle time before TCP asks whether the peer lives, time between two questions, and how many may stay unanswered. */
const keepAlive = { idle: 30_000, interval: 10_000, probes: 3 };

/** Opens no connection yet. */
export function createHttp({ server, credentials, connections = 1 }: HttpAdapterOptions): Http {
  const running = new Set<ClientRequest>();
  let material: TlsMaterial | null = null;
  let shared: Agent | null = null;
  let closed = false;

  const connect = (tls: TlsMaterial, own: boolean): Agent => {
    if (tls !== material) {
      if (shared !== null) retire(shared);
      shared = null;
      material = tls;
    }
    if (own) return new https.Agent({ keepAlive: false, maxSockets: 1 });
    shared ??= new https.Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
    return shared;
  };
  const attempt = (request: HttpRequest, options: HttpOptions): Promise<HttpAnswer> => {
    const tls = credentials.tls();
    const sent = open(request, { server, tls, agent: connect(tls, options.ownConnection) });
    running.add(sent);
    sent.once('close', () => running.delete(sent));
    return exchange(sent, request.body, options.deadline);
  };

  return {
    async send(request, options) {
      if (closed) throw canceled();
      try {
        return await attempt(request, options);
      } catch (error) {
        if (!(error instanceof StaleConnection) || request.method !== 'GET') throw error;
        return attempt(request, options);
      }
    },
    close() {
      closed = true;
      for (const sent of running) sent.destroy(canceled());
      shared?.destroy();
    },
  };
}

interface Destination {
  readonly server: { readonly host: string; readonly port: number };
  readonly tls: TlsMaterial;
  readonly agent: Agent;
}

function open({ method, path, headers }: HttpRequest, { server, tls, agent }: Destination): ClientRequest {
  const { ca, certificate, key, serverName } = tls;
  try {
    return https.request({
      agent,
      method,
      path,
      headers,
      host: server.host,
      port: server.port,
      minVersion: 'TLSv1.2',
      ...(ca === null ? {} : { ca }),
      ...(certificate === null || key === null ? {} : { cert: certificate, key }),
      ...(serverName === null ? {} : { servername: serverName }),
    });
  } catch (error) {
    // A certificate or key that is none.
    throw toHttpError(error, false);
  }
}

/** The server closed a kept-alive connection just when we used it again: nobody has seen the request. Only reading is repeated. */
class StaleConnection extends HttpError {}

function exchange(sent: ClientRequest, body: string | null, deadline: number): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => sent.destroy(new HttpError('ETIMEDOUT', `no answer within ${deadline} ms`)),
      deadline,
    );
    sent.once('socket', (socket: Socket) =>
      socket.setKeepAlive(true, keepAlive.idle, keepAlive.interval, keepAlive.probes),
    );
    sent.once('response', (message: IncomingMessage) => {
      clearTimeout(timer);
      resolve(toAnswer(message));
    });
    // Not once: a request may fail again while it is being destroyed.
    sent.on('error', (error) => {
      clearTimeout(timer);
      reject(toHttpError(error, sent.reusedSocket));
    });
    sent.end(body ?? undefined);
  });
}

function toAnswer(message: IncomingMessage): HttpAnswer {
  let given = false;
  // Whoever reads gets it from the iteration; without a reader nobody needs it.
  message.on('error', () => undefined);
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of message) yield piece as Buffer;
    } catch (error) {
      throw given ? canceled() : toHttpError(error, false);
    }
    if (given) throw canceled();
    if (!message.complete) throw new HttpError('ECONNRESET', 'the answer broke off');
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers))
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  return {
    status: message.statusCode ?? 0,
    headers,
    body: read(),
    abort() {
      if (message.complete && message.readableEnded) return;
      given = true;
      message.destroy();
    },
  };
}

/** Idle connections end now, busy ones after their answer. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function canceled(): HttpError {
  return new HttpError('ECANCELED', 'the connection was given up');
}

function toHttpError(error: unknown, reused: boolean): HttpError {
  if (error instanceof HttpError) return error;
  const cause = error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as unknown) : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EIO';
  const text = cause instanceof Error ? cause.message : String(cause);
  const message = text.includes(code) ? text : `${text} (${code})`;
  if (reused && (code === 'ECONNRESET' || code === 'EPIPE'))
    return new StaleConnection(code, message, { cause: error });
  return new HttpError(code, message, { cause: error });
}

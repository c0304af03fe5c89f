// A proxy of the test's own on loopback between a client and the API server: passes bytes on, and on request cuts, delays, holds back or
// answers in the API server's name. It knows what passed through it, so that a test can count requests and find storms.

import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** An answer in the API server's place. */
export interface ProxyAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON; default a Status object of the API with this status. */
  readonly body?: unknown;
  /** Cut the connection after this many bytes of the body. */
  readonly cutAfter?: number;
}

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly at: number;
  readonly method: string;
  readonly path: string;
  readonly userAgent: string;
}

export interface FaultProxy {
  readonly port: number;
  /** `https://127.0.0.1:PORT`; the API server's certificate holds for it. */
  readonly url: string;
  /** Requests in order of arrival. */
  readonly seen: readonly SeenRequest[];
  /** Connections that were opened so far. */
  connections(): number;
  /**
   * Decides over each request: an answer of the proxy's own, `cut` (the connection is reset without an answer), or undefined to pass it on.
   * Replaces the one set before; null removes it.
   */
  intercept(decide: ((request: SeenRequest) => ProxyAnswer | 'cut' | undefined) | null): void;
  /** Milliseconds that every piece of data waits in both directions. */
  delay(milliseconds: number): void;
  /** Holds all data back, both ways, without closing anything; new connections are accepted and stay silent. */
  pause(): void;
  resume(): void;
  /** Resets all connections that are open. */
  cut(): void;
  /** Resets every connection at once and those that come, until `accept`. */
  refuse(): void;
  accept(): void;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FaultProxyInput {
  /** Port of the API server on 127.0.0.1. */
  readonly port: number;
  /** The API server's certificate with its authority, and its key. */
  readonly caFile: string;
  readonly keyFile: string;
}

/** Starts it, e.g. `startFaultProxy(controlPlane)`. */
export async function startFaultProxy(input: FaultProxyInput): Promise<FaultProxy> {
  const certificate = readFileSync(input.caFile);
  const sockets = new Set<Socket>();
  const seen: SeenRequest[] = [];
  let [opened, delayMs, refusing] = [0, 0, false];
  // Data passes when the gate's promise is kept.
  let gate: Promise<void> = Promise.resolve();
  let release: (() => void) | null = null;
  let decide: ((request: SeenRequest) => ProxyAnswer | 'cut' | undefined) | null = null;

  const upstream = (request: IncomingMessage, response: ServerResponse): void => {
    const sent = httpsRequest(
      {
        host: '127.0.0.1',
        port: input.port,
        method: request.method,
        path: request.url,
        headers: request.headers,
        ca: certificate,
        agent: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
        answer.once('error', () => response.destroy());
      },
    );
    sent.once('error', () => request.socket.destroy());
    response.once('close', () => sent.destroy());
    request.pipe(sent);
  };

  const https = createHttpsServer({ cert: certificate, key: readFileSync(input.keyFile) }, (request, response) => {
    const one: SeenRequest = {
      at: Date.now(),
      method: request.method ?? '',
      path: request.url ?? '',
      userAgent: request.headers['user-agent'] ?? '',
    };
    seen.push(one);
    const decision = decide?.(one);
    if (decision === 'cut') request.socket.destroy();
    else if (decision === undefined) upstream(request, response);
    else answerItself(response, decision);
  });
  https.on('tlsClientError', () => undefined);

  await new Promise<void>((resolve, reject) => {
    https.once('error', reject);
    https.listen(0, '127.0.0.1', resolve);
  });
  const inner = (https.address() as AddressInfo).port;

  const outer = createServer((client) => {
    opened += 1;
    if (refusing) return void client.resetAndDestroy();
    const server = connect(inner, '127.0.0.1');
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.once('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      void pass(from, to);
    }
  });

  async function pass(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from) {
        if (delayMs > 0) await sleep(delayMs);
        await gate;
        if (!to.write(chunk as Buffer))
          await new Promise((resolve) => to.once('drain', resolve).once('close', resolve));
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  await new Promise<void>((resolve, reject) => {
    outer.once('error', reject);
    outer.listen(0, '127.0.0.1', resolve);
  });
  const port = (outer.address() as AddressInfo).port;

  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const resume = (): void => {
    release?.();
    release = null;
  };
  const close = async (): Promise<void> => {
    resume();
    cut();
    https.closeAllConnections();
    await Promise.all([outer, https].map((server) => new Promise((resolve) => server.close(resolve))));
  };
  return {
    port,
    url: `https://127.0.0.1:${port}`,
    seen,
    connections: () => opened,
    intercept: (next) => void (decide = next),
    delay: (milliseconds) => void (delayMs = milliseconds),
    pause: () => {
      if (release !== null) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      [gate, release] = [promise, resolve];
    },
    resume,
    cut,
    refuse: () => {
      refusing = true;
      cut();
    },
    accept: () => void (refusing = false),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function answerItself(response: ServerResponse, answer: ProxyAnswer): void {
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    message: 'said by a proxy',
    code: answer.status,
  };
  const body = Buffer.from(JSON.stringify(answer.body ?? status));
  const headers = { 'content-type': 'application/json', 'content-length': String(body.length), ...answer.headers };
  response.writeHead(answer.status, headers);
  if (answer.cutAfter === undefined) return void response.end(body);
  response.write(body.subarray(0, answer.cutAfter), () => response.destroy());
}

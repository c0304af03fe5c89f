// The test machine's end of the executor's channel: requests out, replies matched by id, many in flight at once.

import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from './lab-error.ts';
import type { Reply, Request } from './protocol.ts';

type Unnumbered<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never;

/** A request before the channel gives it its number. */
export type OpenRequest = Unnumbered<Request>;

/** Called with every reply to one request; returns true when no more is expected. */
export type ReplyHandler = (reply: Reply) => boolean;

/** One connection to one executor. */
export interface Channel {
  /** Sends and returns the request's number; `handler` sees its replies, `lost` is told if the connection ends first. */
  send(request: OpenRequest, handler: ReplyHandler, lost: (error: LabError) => void): number;
  /** Resolves with the executor's greeting. */
  readonly ready: Promise<{ readonly pid: number; readonly uptimeSeconds: number }>;
  close(): void;
}

/** Connects to a unix socket that QEMU is about to open. Throws LabError when it does not appear in 10 s. */
export async function connectSocket(path: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path);
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (cause) {
      if (attempt === 200) throw new LabError(`QEMU did not open ${path}.`, { cause });
      await sleep(50);
    }
  }
}

/** Calls `handle` with every line that arrives on `socket`. */
export function onLines(socket: Socket, handle: (line: string) => void): void {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') handle(line);
  });
}

/** The channel over the executor's socket. */
export function openChannel(socket: Socket): Channel {
  const waiting = new Map<number, { readonly handler: ReplyHandler; readonly lost: (error: LabError) => void }>();
  let last = 0;
  let closed = false;
  const ready = Promise.withResolvers<{ readonly pid: number; readonly uptimeSeconds: number }>();
  const lose = (why: string): void => {
    const error = new LabError(`The guest's executor is gone: ${why}.`);
    ready.reject(error);
    for (const { lost } of waiting.values()) lost(error);
    waiting.clear();
  };
  ready.promise.catch(() => undefined);
  onLines(socket, (line) => {
    const reply = JSON.parse(line) as Reply;
    if (reply.kind === 'ready') {
      // A second greeting: the first executor died and took its requests along.
      if (waiting.size > 0) lose('it was started again');
      return ready.resolve(reply);
    }
    if (waiting.get(reply.id)?.handler(reply) === true) waiting.delete(reply.id);
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    closed = true;
    lose('the machine stopped');
  });
  return {
    ready: ready.promise,
    send: (request, handler, lost) => {
      const id = ++last;
      if (closed) {
        queueMicrotask(() => lost(new LabError("The guest's executor is gone: the machine stopped.")));
        return id;
      }
      waiting.set(id, { handler, lost });
      socket.write(`${JSON.stringify({ ...request, id })}\n`);
      return id;
    },
    close: () => socket.destroy(),
  };
}

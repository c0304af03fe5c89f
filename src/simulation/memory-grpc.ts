// gRPC in memory, for a node whose sockets lie in a simulated tree: a server is an entry there, found by whatever path leads to it, so
// that renaming, deleting and stat work as on real unix sockets. Answers come in later microtasks, never at once.
import { GrpcError } from '../kubelet/ports.ts';
import type { Grpc, GrpcChannel, IncomingStream, OutgoingStream, Route, StreamListener } from '../kubelet/ports.ts';
import { FileError } from '../runtime/ports.ts';
import type { Clock } from '../runtime/ports.ts';
import type { MemoryFiles } from './memory-files.ts';

interface Server {
  readonly routes: ReadonlyMap<string, Route>;
  /** Ends a stream or a call that is running. */
  readonly running: Set<() => void>;
}

/** gRPC on the sockets of `files`. */
export function createMemoryGrpc(files: MemoryFiles, clock: Clock): Grpc {
  const servers = new Map<number, Server>();

  const inodeOf = (path: string): number | null => {
    try {
      const { kind, inode } = files.stat(path);
      return kind === 'socket' ? inode : null;
    } catch (error) {
      if (error instanceof FileError) return null;
      throw error;
    }
  };
  const find = (path: string): Server => {
    const server = servers.get(inodeOf(path) ?? -1);
    if (server === undefined) throw new GrpcError('Unavailable', `nobody listens on ${path}`);
    return server;
  };

  return {
    async serve(path, routes) {
      if (files.exists(path)) throw new GrpcError('AlreadyExists', `listen on ${path}: the file exists`);
      files.put(path, { node: 'socket', mode: 0o755 });
      const inode = inodeOf(path) ?? -1;
      const server: Server = { routes: new Map(routes.map((route) => [route.path, route])), running: new Set() };
      servers.set(inode, server);
      return {
        async close() {
          servers.delete(inode);
          // As libuv does: by the path that was bound, whatever is there by now.
          if (inodeOf(path) === inode) files.drop(path);
          for (const cut of server.running) cut();
        },
      };
    },
    connect: (path) => connect(() => find(path), clock),
    async probe(path) {
      if (!files.exists(path)) return 'Absent';
      return servers.has(inodeOf(path) ?? -1) ? 'Listening' : 'Refused';
    },
  };
}

function connect(find: () => Server, clock: Clock): GrpcChannel {
  const open = new Set<() => void>();
  return {
    async call(path, request, deadline) {
      await Promise.resolve();
      const server = find();
      const route = server.routes.get(path);
      if (route?.kind !== 'unary') throw new GrpcError('Unimplemented', `${path} is not served`);
      const ended = Promise.withResolvers<never>();
      ended.promise.catch(() => undefined);
      const cancel = (): void => ended.reject(new GrpcError('Cancelled', `${path} was cancelled`));
      const cut = (): void => ended.reject(new GrpcError('Unavailable', `the connection was lost during ${path}`));
      const late = (): void => ended.reject(new GrpcError('DeadlineExceeded', `${path} took over ${deadline} ms`));
      const timer = clock.after(deadline, late);
      open.add(cancel);
      server.running.add(cut);
      try {
        return await Promise.race([route.answer(request), ended.promise]);
      } catch (error) {
        if (error instanceof GrpcError) throw error;
        throw new GrpcError('Unknown', error instanceof Error ? error.message : String(error), { cause: error });
      } finally {
        timer.cancel();
        open.delete(cancel);
        server.running.delete(cut);
      }
    },
    open(path, request, listener) {
      const stream = openStream(find, path, request, listener);
      open.add(() => stream.cancel());
      return stream;
    },
    close() {
      for (const cancel of open) cancel();
    },
  };
}

function openStream(find: () => Server, path: string, request: Uint8Array, listener: StreamListener): IncomingStream {
  let over = false;
  let server: Server | null = null;
  const onEnd: (() => void)[] = [];
  const finish = (error: GrpcError | null): void => {
    if (over) return;
    over = true;
    server?.running.delete(cut);
    for (const run of onEnd) run();
    queueMicrotask(() => listener.onEnd(error));
  };
  const cut = (): void => finish(new GrpcError('Unavailable', `the connection was lost during ${path}`));
  const outgoing: OutgoingStream = {
    send: (message) => {
      if (!over) queueMicrotask(() => listener.onMessage(message));
    },
    end: () => finish(null),
    onEnd: (run) => void (over ? run() : onEnd.push(run)),
  };
  queueMicrotask(() => {
    if (over) return;
    try {
      server = find();
      const route = server.routes.get(path);
      if (route?.kind !== 'stream') throw new GrpcError('Unimplemented', `${path} is not served`);
      server.running.add(cut);
      route.open(request, outgoing);
    } catch (error) {
      finish(error instanceof GrpcError ? error : new GrpcError('Unknown', String(error), { cause: error }));
    }
  });
  return { cancel: () => finish(new GrpcError('Cancelled', `${path} was cancelled`)) };
}

// gRPC that dies with its process: its servers answer nobody any more, their socket files stay behind as a SIGKILL leaves them, and
// nothing that was called is ever heard of.
import { GrpcError } from '../../src/kubelet/ports.ts';
import type { Grpc, GrpcChannel, GrpcServer, Route } from '../../src/kubelet/ports.ts';
import type { MemoryFiles } from '../../src/simulation/memory-files.ts';
import type { Fate } from '../../src/simulation/mortal-process.ts';

/** gRPC of one process, and the process's end. */
export interface MortalGrpc {
  readonly grpc: Grpc;
  /** Ends what is open. */
  end(): void;
}

/** What it needs to know of the process. */
export interface LifeOfProcess {
  isAlive(): boolean;
  /** Asked at every call that leaves the process. */
  fate(operation: string): Fate;
  kill(): void;
}

const never = <Result>(): Promise<Result> => new Promise(() => {});

/** Wraps `inner` for one process. */
export function createMortalGrpc(inner: Grpc, files: MemoryFiles, life: LifeOfProcess): MortalGrpc {
  const servers = new Map<string, GrpcServer>();
  const channels = new Set<GrpcChannel>();
  const call = async <Result>(operation: string, run: () => Promise<Result>): Promise<Result> => {
    const fate = life.isAlive() ? life.fate(operation) : 'killedBefore';
    if (fate === 'killedBefore') {
      life.kill();
      return never();
    }
    const running = run();
    if (fate === 'killedAfter') life.kill();
    try {
      const value = await running;
      return life.isAlive() ? value : never();
    } catch (error) {
      if (life.isAlive()) throw error;
      return never();
    }
  };
  const connect = (path: string): GrpcChannel => {
    const channel = inner.connect(path);
    channels.add(channel);
    return {
      call: (method, request, deadline) => call('grpc.call', () => channel.call(method, request, deadline)),
      open: (method, request, listener) =>
        channel.open(method, request, {
          onMessage: (message) => void (life.isAlive() && listener.onMessage(message)),
          onEnd: (error) => void (life.isAlive() && listener.onEnd(error)),
        }),
      close() {
        channels.delete(channel);
        channel.close();
      },
    };
  };
  return {
    grpc: {
      async serve(path: string, routes: readonly Route[]) {
        const server = await call('grpc.serve', () =>
          inner.serve(
            path,
            routes.map((route) => mortalRoute(route, life)),
          ),
        );
        servers.set(path, server);
        return {
          async close(grace) {
            servers.delete(path);
            await server.close(grace);
          },
        };
      },
      connect,
      probe: (path) => call('grpc.probe', () => inner.probe(path)),
    },
    end() {
      for (const [path, server] of servers) {
        const left = files.exists(path);
        void server.close(0);
        if (left) files.put(path, { node: 'socket', mode: 0o755 });
      }
      for (const channel of channels) channel.close();
      servers.clear();
      channels.clear();
    },
  };
}

/** A route of a process: once that is dead, whoever asks finds nobody, and its own code hears of nothing. */
function mortalRoute(route: Route, life: LifeOfProcess): Route {
  const lost = (): GrpcError => new GrpcError('Unavailable', 'the connection was lost');
  if (route.kind === 'unary') {
    const answer = async (request: Uint8Array): Promise<Uint8Array> => {
      if (!life.isAlive()) throw lost();
      try {
        return await route.answer(request);
      } catch (error) {
        throw life.isAlive() ? error : lost();
      }
    };
    return { ...route, answer };
  }
  return {
    ...route,
    open(request, stream) {
      if (!life.isAlive()) throw lost();
      route.open(request, {
        send: (message) => stream.send(message),
        end: () => stream.end(),
        onEnd: (run) => stream.onEnd(() => void (life.isAlive() && run())),
      });
    },
  };
}

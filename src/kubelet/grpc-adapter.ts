// The real gRPC: @grpc/grpc-js on unix sockets. No client keepalive: kubelet's Go server answers pings more often than every five
// minutes with too_many_pings, and a unix socket of a dead process closes by itself. Authority is `localhost`, which grpc-js sends for
// unix: targets and kubelet (from 1.26) sends to us; Node's HTTP/2 refuses a raw path there.
import * as grpc from '@grpc/grpc-js';
import * as net from 'node:net';
import {
  GrpcError,
  grpcCodes,
  type Grpc,
  type GrpcChannel,
  type GrpcCode,
  type GrpcServer,
  type OutgoingStream,
  type Probe,
  type Route,
  type StreamListener,
} from './ports.ts';

const statusOf: Readonly<Record<GrpcCode, grpc.status>> = {
  Cancelled: grpc.status.CANCELLED,
  Unknown: grpc.status.UNKNOWN,
  InvalidArgument: grpc.status.INVALID_ARGUMENT,
  DeadlineExceeded: grpc.status.DEADLINE_EXCEEDED,
  NotFound: grpc.status.NOT_FOUND,
  AlreadyExists: grpc.status.ALREADY_EXISTS,
  PermissionDenied: grpc.status.PERMISSION_DENIED,
  ResourceExhausted: grpc.status.RESOURCE_EXHAUSTED,
  FailedPrecondition: grpc.status.FAILED_PRECONDITION,
  Aborted: grpc.status.ABORTED,
  OutOfRange: grpc.status.OUT_OF_RANGE,
  Unimplemented: grpc.status.UNIMPLEMENTED,
  Internal: grpc.status.INTERNAL,
  Unavailable: grpc.status.UNAVAILABLE,
  DataLoss: grpc.status.DATA_LOSS,
  Unauthenticated: grpc.status.UNAUTHENTICATED,
};

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const same = (bytes: Buffer): Buffer => bytes;

/** The machine's gRPC. */
export function createGrpc(): Grpc {
  // What goes wrong reaches the caller; the library's own lines on stderr would come on top of it.
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  return { serve, connect, probe };
}

async function serve(path: string, routes: readonly Route[]): Promise<GrpcServer> {
  if ((await probe(path)) !== 'Absent') throw new GrpcError('AlreadyExists', `listen on ${path}: the file exists`);
  const server = new grpc.Server({ 'grpc.enable_channelz': 0 });
  const running: Running = new Set();
  for (const route of routes) register(server, route, running);
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${path}`, grpc.ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(new GrpcError('Unavailable', `listen on ${path}: ${error.message}`, { cause: error }));
    });
  });
  return { close: (grace) => close(server, running, grace) };
}

/** What ends each call that is running, from the server's side. */
type Running = Set<() => void>;

const stopping = new GrpcError('Unavailable', 'the server stops');

function register(server: grpc.Server, route: Route, running: Running): void {
  if (route.kind === 'unary') {
    const handler: grpc.handleUnaryCall<Buffer, Buffer> = (call, respond) => {
      const cut = (): void => finish(toStatus(stopping));
      const finish = (error: Partial<grpc.StatusObject> | null, bytes?: Uint8Array): void => {
        if (running.delete(cut)) respond(error, bytes === undefined ? null : toBuffer(bytes));
      };
      running.add(cut);
      route.answer(call.request).then(
        (bytes) => finish(null, bytes),
        (error: unknown) => finish(toStatus(error)),
      );
    };
    server.register(route.path, handler, same, same, 'unary');
  } else {
    const handler: grpc.handleServerStreamingCall<Buffer, Buffer> = (call) => {
      route.open(call.request, outgoing(call, running));
    };
    server.register(route.path, handler, same, same, 'serverStream');
  }
}

function outgoing(call: grpc.ServerWritableStream<Buffer, Buffer>, running: Running): OutgoingStream {
  let over = false;
  const listeners: (() => void)[] = [];
  const finish = (): void => {
    if (over) return;
    over = true;
    running.delete(cut);
    for (const run of listeners) run();
  };
  // An error emitted on the call is how grpc-js takes a status.
  const cut = (): void => void call.emit('error', toStatus(stopping));
  running.add(cut);
  call.on('cancelled', finish);
  call.on('close', finish);
  call.on('error', finish);
  return {
    send: (message) => void (over || call.write(toBuffer(message))),
    end: () => {
      if (over) return;
      call.end();
      finish();
    },
    onEnd: (run) => void (over ? run() : listeners.push(run)),
  };
}

function toStatus(error: unknown): Partial<grpc.StatusObject> {
  const code = error instanceof GrpcError ? statusOf[error.code] : grpc.status.UNKNOWN;
  return { code, details: error instanceof Error ? error.message : String(error) };
}

// tryShutdown unlinks the socket's path at once and then waits for every call, an open ListAndWatch without end; forceShutdown after it
// does nothing, since it has forgotten its sessions by then (seen with 1.14.7). So what is left is ended call by call.
function close(server: grpc.Server, running: Running, grace: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      for (const end of running) end();
    }, grace);
    const finish = (): void => {
      clearTimeout(cut);
      clearTimeout(giveUp);
      resolve();
    };
    // A peer that is frozen takes no end either; its connection goes with it, or with us.
    const giveUp = setTimeout(() => {
      server.forceShutdown();
      finish();
    }, grace + 1_000);
    server.tryShutdown(finish);
  });
}

function connect(path: string, options: { readonly receiveLimit?: number } = {}): GrpcChannel {
  const client = new grpc.Client(`unix:${path}`, grpc.credentials.createInsecure(), {
    'grpc.enable_channelz': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.max_receive_message_length': options.receiveLimit ?? 4 * 1024 * 1024,
  });
  const running = new Set<{ cancel(): void }>();
  return {
    call: (method, request, deadline) =>
      new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          method,
          same,
          same,
          toBuffer(request),
          { deadline: Date.now() + deadline },
          (error, response) => {
            running.delete(call);
            if (error === null && response !== undefined) resolve(response);
            else reject(toGrpcError(error));
          },
        );
        running.add(call);
      }),
    open(method, request, listener) {
      const stream = client.makeServerStreamRequest(method, same, same, toBuffer(request));
      running.add(stream);
      listen(stream, {
        onMessage: (message) => listener.onMessage(message),
        onEnd: (error) => {
          running.delete(stream);
          listener.onEnd(error);
        },
      });
      return { cancel: () => stream.cancel() };
    },
    close() {
      // client.close() lets calls that are on their way go on.
      for (const call of running) call.cancel();
      client.close();
    },
  };
}

function listen(stream: grpc.ClientReadableStream<Buffer>, listener: StreamListener): void {
  let over = false;
  const finish = (error: GrpcError | null): void => {
    if (over) return;
    over = true;
    listener.onEnd(error);
  };
  stream.on('data', (message: Buffer) => listener.onMessage(message));
  stream.on('error', (error: unknown) => finish(toGrpcError(error)));
  stream.on('end', () => finish(null));
}

function toGrpcError(error: unknown): GrpcError {
  const number = error instanceof Error && 'code' in error ? error.code : null;
  const code = grpcCodes.find((name) => statusOf[name] === number) ?? 'Unknown';
  const details =
    error instanceof Error && 'details' in error && typeof error.details === 'string' ? error.details : String(error);
  return new GrpcError(code, details, { cause: error });
}

function probe(path: string): Promise<Probe> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve('Listening');
    });
    socket.on('error', (error) => {
      const code = 'code' in error ? error.code : null;
      if (code === 'ENOENT') resolve('Absent');
      else if (code === 'ECONNREFUSED') resolve('Refused');
      else reject(new GrpcError('Unknown', `connect to ${path}: ${error.message}`, { cause: error }));
    });
  });
}

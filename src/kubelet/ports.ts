// What lies below the kubelet side: gRPC over unix sockets, carried as bytes, and what of the host has to be asked again when a device
// is handed out. The real gRPC is grpc-adapter.ts; the simulated node has one in memory. Messages get their types in contracts.ts.
import type { AdvertisedDevice, AdvertisedFunction } from '../domain/resource-pool.ts';

/** The status codes of gRPC that are errors (https://grpc.io/docs/guides/status-codes/). */
export const grpcCodes = [
  'Cancelled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const;
export type GrpcCode = (typeof grpcCodes)[number];

/** A call that ended badly. Thrown by a handler, its code and message reach the caller as they are; the caller says what it tried. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';
  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The server's end of a stream of answers. */
export interface OutgoingStream {
  /** Sends one message; silently nothing after the end. */
  send(message: Uint8Array): void;
  /** Ends the stream with status OK; what was sent before still arrives. */
  end(): void;
  /** Calls back once, when the stream is over for whatever reason: ended here, cancelled there, connection lost. */
  onEnd(run: () => void): void;
}

/** One method that a server answers. `path` is `/package.Service/Method`. An error thrown that is no `GrpcError` is `Unknown`. */
export type Route =
  | { readonly kind: 'unary'; readonly path: string; readonly answer: (request: Uint8Array) => Promise<Uint8Array> }
  | {
      readonly kind: 'stream';
      readonly path: string;
      readonly open: (request: Uint8Array, stream: OutgoingStream) => void;
    };

/** A server on one socket. */
export interface GrpcServer {
  /** Stops listening, lets running calls end, and cuts what is left after `grace` milliseconds. End streams first. */
  close(grace: number): Promise<void>;
}

/** What a caller hears of a stream of answers. */
export interface StreamListener {
  onMessage(message: Uint8Array): void;
  /** Once; null when the server ended it in good order. */
  onEnd(error: GrpcError | null): void;
}

/** The caller's end of a stream of answers. */
export interface IncomingStream {
  cancel(): void;
}

/** A client of one socket. */
export interface GrpcChannel {
  /** Calls and waits at most `deadline` milliseconds. Rejects with `GrpcError`; nobody listening is `Unavailable`, at once. */
  call(path: string, request: Uint8Array, deadline: number): Promise<Uint8Array>;
  open(path: string, request: Uint8Array, listener: StreamListener): IncomingStream;
  /** Ends what is running with `Cancelled`. */
  close(): void;
}

/** What a connect to a socket's path shows. */
export type Probe = 'Listening' | 'Refused' | 'Absent';

/** gRPC on unix sockets. */
export interface Grpc {
  /**
   * Listens at `path`, which must not exist (`AlreadyExists`) and must fit the kernel's 107 bytes (checked by the caller: Node
   * truncates in silence).
   */
  serve(path: string, routes: readonly Route[]): Promise<GrpcServer>;
  /** Does not connect yet. `receiveLimit`: largest answer in bytes, 4 MiB unless given. */
  connect(path: string, options?: { readonly receiveLimit?: number }): GrpcChannel;
  /** Connects and hangs up. `Refused`: a socket's file that nobody listens on. */
  probe(path: string): Promise<Probe>;
}

/**
 * Looks at the host whether `fn` still is what `device` says: the driver link, and the IOMMU group. null: it is; otherwise the
 * sentence that says what it is now, beginning with the address.
 */
export type VerifyDevice = (fn: AdvertisedFunction, device: AdvertisedDevice) => string | null;

/**
 * Who has an IOMMU group's node, or the cdev of one of its members, open: e.g. `process qemu-system-x86 (4711) has /dev/vfio/12
 * open`. null: nobody. What cannot be seen counts as open and is said so. Groups of which nothing is offered are asked for too.
 */
export type FindGroupUser = (group: number) => string | null;

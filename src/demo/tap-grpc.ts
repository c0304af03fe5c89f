// Listens in between agent and kubelet: every call and every message of a stream goes through unchanged and is recorded, and can be read
// back as the message it was.
import type { Method } from '../kubelet/contracts.ts';
import type { Grpc, GrpcChannel } from '../kubelet/ports.ts';
import type { Happening, NodeRecord } from './record.ts';

const nothing = new Uint8Array();

/** gRPC, tapped at the caller's end. */
export function tapGrpc(grpc: Grpc, record: NodeRecord): Grpc {
  return {
    serve: (path, routes) => grpc.serve(path, routes),
    probe: (path) => grpc.probe(path),
    connect: (path, options) => tapChannel(grpc.connect(path, options), path, record),
  };
}

function tapChannel(channel: GrpcChannel, socket: string, record: NodeRecord): GrpcChannel {
  return {
    async call(method, request, deadline) {
      try {
        const response = await channel.call(method, request, deadline);
        record.add({ kind: 'Grpc', socket, method, request, response, failure: null });
        return response;
      } catch (error) {
        const failure = error instanceof Error ? error.message : String(error);
        record.add({ kind: 'Grpc', socket, method, request, response: null, failure });
        throw error;
      }
    },
    open: (method, request, listener) =>
      channel.open(method, request, {
        onMessage(message) {
          record.add({ kind: 'Grpc', socket, method, request: nothing, response: message, failure: null });
          listener.onMessage(message);
        },
        onEnd: (error) => listener.onEnd(error),
      }),
    close: () => channel.close(),
  };
}

/** A recorded message, decoded. */
export interface HeardMessage<Request, Response> {
  readonly at: number;
  readonly socket: string;
  readonly request: Request;
  readonly response: Response;
}

/** All messages of `method` that were answered. */
export function heard<Request, Response>(
  happenings: readonly Happening[],
  method: Method<Request, Response>,
): readonly HeardMessage<Request, Response>[] {
  return happenings.flatMap((one) =>
    one.kind === 'Grpc' && one.method === method.path && one.response !== null
      ? [
          {
            at: one.at,
            socket: one.socket,
            request: method.request.decode(one.request),
            response: method.response.decode(one.response),
          },
        ]
      : [],
  );
}

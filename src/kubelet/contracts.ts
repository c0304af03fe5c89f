// The methods of kubelet's three contracts as data, and the typed ways to answer and to call them over the byte-carrying port.
import * as codec from './codec.ts';
import type { MessageCodec } from './codec.ts';
import type { Empty } from './messages.ts';
import type { GrpcChannel, GrpcError, IncomingStream, Route } from './ports.ts';

/** One method: one request, one answer (or a stream of answers). */
export interface Method<Request, Response> {
  readonly path: string;
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
}

function method<Request, Response>(
  path: string,
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): Method<Request, Response> {
  return { path, request, response };
}

/** The only version of the device plugin contract there is. */
export const devicePluginVersion = 'v1beta1';

/** Served by kubelet. */
export const registration = {
  register: method('/v1beta1.Registration/Register', codec.registerRequest, codec.empty),
};

/** Served by us. `listAndWatch` streams its answers. */
export const devicePlugin = {
  getDevicePluginOptions: method(
    '/v1beta1.DevicePlugin/GetDevicePluginOptions',
    codec.empty,
    codec.devicePluginOptions,
  ),
  listAndWatch: method('/v1beta1.DevicePlugin/ListAndWatch', codec.empty, codec.listAndWatchResponse),
  getPreferredAllocation: method(
    '/v1beta1.DevicePlugin/GetPreferredAllocation',
    codec.preferredAllocationRequest,
    codec.preferredAllocationResponse,
  ),
  allocate: method('/v1beta1.DevicePlugin/Allocate', codec.allocateRequest, codec.allocateResponse),
  preStartContainer: method('/v1beta1.DevicePlugin/PreStartContainer', codec.preStartContainerRequest, codec.empty),
};

/** Served by kubelet. */
export const podResources = {
  list: method('/v1.PodResourcesLister/List', codec.empty, codec.listPodResourcesResponse),
  getAllocatableResources: method(
    '/v1.PodResourcesLister/GetAllocatableResources',
    codec.empty,
    codec.allocatableResourcesResponse,
  ),
  get: method('/v1.PodResourcesLister/Get', codec.getPodResourcesRequest, codec.getPodResourcesResponse),
};

/** Served by us on a socket in plugins_registry. */
export const pluginRegistration = {
  getInfo: method('/pluginregistration.Registration/GetInfo', codec.empty, codec.pluginInfo),
  notifyRegistrationStatus: method(
    '/pluginregistration.Registration/NotifyRegistrationStatus',
    codec.registrationStatus,
    codec.empty,
  ),
};

/** The route that answers `method` by `handler`. */
export function answer<Request, Response>(
  method: Method<Request, Response>,
  handler: (request: Request) => Response | Promise<Response>,
): Route {
  return {
    kind: 'unary',
    path: method.path,
    answer: async (bytes) => method.response.encode(await handler(method.request.decode(bytes))),
  };
}

/** The server's end of a typed stream; see `OutgoingStream`. */
export interface AnswerStream<Response> {
  send(message: Response): void;
  end(): void;
  onEnd(run: () => void): void;
}

/** The route that hands every stream opened on `method` to `open`. */
export function answerStream<Response>(
  method: Method<Empty, Response>,
  open: (stream: AnswerStream<Response>) => void,
): Route {
  return {
    kind: 'stream',
    path: method.path,
    open: (_request, stream) =>
      open({
        send: (message) => stream.send(method.response.encode(message)),
        end: () => stream.end(),
        onEnd: (run) => stream.onEnd(run),
      }),
  };
}

/** Calls `method`; `deadline` in milliseconds. Rejects with `GrpcError`. */
export async function call<Request, Response>(
  channel: GrpcChannel,
  method: Method<Request, Response>,
  request: Request,
  deadline: number,
): Promise<Response> {
  return method.response.decode(await channel.call(method.path, method.request.encode(request), deadline));
}

/** Opens a stream of answers; `onEnd` comes once. */
export function openStream<Response>(
  channel: GrpcChannel,
  method: Method<Empty, Response>,
  onMessage: (message: Response) => void,
  onEnd: (error: GrpcError | null) => void,
): IncomingStream {
  return channel.open(method.path, method.request.encode({}), {
    onMessage: (bytes) => onMessage(method.response.decode(bytes)),
    onEnd,
  });
}

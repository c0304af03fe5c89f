// Kubelet's end of one registered plugin: the connection, the open list, and what the last list said. It never dials a second time and
// never opens the list again; when the stream ends its devices are unhealthy until somebody registers anew.
import { call, devicePlugin, openStream } from '../../kubelet/contracts.ts';
import type { DevicePluginOptions, ListedDevice } from '../../kubelet/messages.ts';
import { GrpcError } from '../../kubelet/ports.ts';
import type { Grpc, GrpcChannel, IncomingStream } from '../../kubelet/ports.ts';
import type { Clock } from '../../runtime/ports.ts';

/** No deadline on kubelet's side; here long enough that a test which waits for it fails first. */
const patience = 60_000;

/** What the owner hears. */
export interface EndpointListener {
  onList(endpoint: PluginEndpoint): void;
  onEnd(endpoint: PluginEndpoint, error: GrpcError | null): void;
}

/** One plugin that kubelet knows. */
export class PluginEndpoint {
  readonly resource: string;
  readonly options: DevicePluginOptions;
  readonly socket: string;
  readonly #channel: GrpcChannel;
  readonly #listener: EndpointListener;
  #devices: readonly ListedDevice[] = [];
  #stream: IncomingStream | null = null;
  #ended = false;
  #messages = 0;

  private constructor(
    resource: string,
    socket: string,
    channel: GrpcChannel,
    options: DevicePluginOptions,
    listener: EndpointListener,
  ) {
    this.resource = resource;
    this.socket = socket;
    this.#channel = channel;
    this.options = options;
    this.#listener = listener;
  }

  /** Dials (retrying while nobody listens, as a blocking dial does, for `dialDeadline` milliseconds) and asks for the options. */
  static async dial(
    ports: { readonly grpc: Grpc; readonly clock: Clock },
    resource: string,
    socket: string,
    dialDeadline: number,
    listener: EndpointListener,
  ): Promise<PluginEndpoint> {
    const begun = ports.clock.monotonic();
    for (;;) {
      const channel = ports.grpc.connect(socket);
      try {
        const options = await call(channel, devicePlugin.getDevicePluginOptions, {}, patience);
        return new PluginEndpoint(resource, socket, channel, options, listener);
      } catch (error) {
        channel.close();
        const absent = error instanceof GrpcError && error.code === 'Unavailable';
        if (!absent || ports.clock.monotonic() - begun >= dialDeadline) throw error;
        await new Promise<void>((resolve) => ports.clock.after(100, resolve));
      }
    }
  }

  /** Opens the list, once. */
  watch(): void {
    this.#stream = openStream(
      this.#channel,
      devicePlugin.listAndWatch,
      ({ devices }) => {
        if (this.#ended) return;
        this.#messages += 1;
        this.#devices = devices;
        this.#listener.onList(this);
      },
      (error) => {
        if (this.#ended) return;
        this.#ended = true;
        this.#channel.close();
        this.#listener.onEnd(this, error);
      },
    );
  }

  /** The list is open. */
  get live(): boolean {
    return !this.#ended;
  }

  /** Messages received. */
  get messages(): number {
    return this.#messages;
  }

  /** All devices of the last message, with the health that kubelet gives them now. */
  get devices(): readonly ListedDevice[] {
    return this.#ended ? this.#devices.map((device) => ({ ...device, health: 'Unhealthy' })) : this.#devices;
  }

  get healthyIds(): readonly string[] {
    return this.devices.filter((device) => device.health === 'Healthy').map((device) => device.id);
  }

  numaNode(id: string): number {
    return this.#devices.find((device) => device.id === id)?.numaNodes[0] ?? -1;
  }

  async prefer(available: readonly string[], mustInclude: readonly string[], size: number): Promise<readonly string[]> {
    const request = { containerRequests: [{ available, mustInclude, size }] };
    const response = await call(this.#channel, devicePlugin.getPreferredAllocation, request, patience);
    return response.containerResponses[0] ?? [];
  }

  async allocate(ids: readonly string[]) {
    const { containerResponses } = await call(
      this.#channel,
      devicePlugin.allocate,
      { containerRequests: [ids] },
      patience,
    );
    const [answer] = containerResponses;
    if (answer === undefined) throw new GrpcError('Internal', `${this.resource} answered Allocate without a container`);
    return answer;
  }

  /** Kubelet gives this 30 s. */
  async preStart(ids: readonly string[]): Promise<void> {
    await call(this.#channel, devicePlugin.preStartContainer, { ids }, 30_000);
  }

  /** Drops the plugin: another one took its name, or kubelet stops. Nobody is told. */
  stop(): void {
    this.#ended = true;
    this.#stream?.cancel();
    this.#channel.close();
  }
}

// All device plugins of the node: one per resource, started when a resource appears, told of changes, withdrawn when it goes.
import type { ResourcePool } from '../domain/resource-pool.ts';
import type { Allocator } from './allocator.ts';
import { DevicePluginServer } from './device-plugin-server.ts';
import type { PluginPorts, PluginState } from './device-plugin-server.ts';
import { removeStaleSockets } from './plugin-socket.ts';
import type { MakeRegistration } from './registration.ts';

/** What plugins need of an allocator. */
export type PluginAllocator = Pick<Allocator, 'update' | 'list' | 'handlers'>;

export interface DevicePluginsOptions {
  /** Begins the names of all our sockets. */
  readonly prefix: string;
  /** Where they lie. */
  readonly directory: string;
  readonly registration: MakeRegistration;
  /** Decides what is offered and who gets it. */
  readonly allocator: PluginAllocator;
  /** Hears of every change of a plugin's state. */
  readonly onState: (state: PluginState) => void;
}

/** The plugins, and what becomes of them. */
export class DevicePlugins {
  readonly #ports: PluginPorts;
  readonly #options: DevicePluginsOptions;
  readonly #plugins = new Map<string, DevicePluginServer>();

  constructor(ports: PluginPorts, options: DevicePluginsOptions) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Removes what an earlier agent left behind; call before the first `apply`. Returns the paths removed. */
  clean(): Promise<readonly string[]> {
    return removeStaleSockets(this.#ports, this.#options.directory, this.#options.prefix);
  }

  /** Offers exactly these pools. From this call on Allocate refuses everything else; resolves when withdrawn plugins have ended. */
  async apply(pools: readonly ResourcePool[]): Promise<void> {
    const { allocator } = this.#options;
    allocator.update(pools);
    const wanted = new Set(pools.map((pool) => pool.resource));
    for (const resource of wanted) {
      const plugin = this.#plugins.get(resource);
      if (plugin === undefined) this.#start(resource);
    }
    this.refresh();
    const gone = [...this.#plugins].filter(([resource]) => !wanted.has(resource));
    for (const [resource] of gone) this.#plugins.delete(resource);
    await Promise.all(gone.map(([, plugin]) => plugin.withdraw()));
  }

  /** Tells kubelet every list as it is now; one that has not changed costs nothing. */
  refresh(): void {
    for (const [resource, plugin] of this.#plugins) plugin.update(this.#options.allocator.list(resource));
  }

  /** Sorted by resource. */
  states(): readonly PluginState[] {
    return [...this.#plugins.values()]
      .map((plugin) => plugin.state)
      .toSorted((a, b) => (a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0));
  }

  /** Ends all plugins; devices that pods hold stay with them. */
  async stop(): Promise<void> {
    await Promise.all([...this.#plugins.values()].map((plugin) => plugin.stop()));
    this.#plugins.clear();
  }

  #start(resource: string): void {
    const { prefix, registration, allocator, onState } = this.#options;
    const plugin = new DevicePluginServer(this.#ports, {
      resource,
      prefix,
      registration,
      handlers: allocator.handlers(resource),
      devices: allocator.list(resource),
      onState,
    });
    this.#plugins.set(resource, plugin);
    plugin.start();
  }
}

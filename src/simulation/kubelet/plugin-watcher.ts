// The simulated kubelet's plugin watcher: looks for sockets in plugins_registry, asks each what it is, and tells it what came of it.
// A refused one is asked again with back-off; one whose file is gone is dropped.
import { call, devicePluginVersion, pluginRegistration } from '../../kubelet/contracts.ts';
import { DirectoryLook } from '../../kubelet/directory-look.ts';
import type { Grpc } from '../../kubelet/ports.ts';
import { FileError } from '../../runtime/ports.ts';
import type { Clock, Files } from '../../runtime/ports.ts';
import type { DeviceManager } from './device-manager.ts';
import { PluginEndpoint } from './plugin-endpoint.ts';
import { refuseResourceName } from './resource-name.ts';

interface Known {
  readonly inode: number;
  endpoint: PluginEndpoint | null;
  /** Not to be asked before this monotonic time. */
  notBefore: number;
  failures: number;
  asking: boolean;
}

/** Watches one directory for plugins. */
export class PluginWatcher {
  readonly #ports: { readonly grpc: Grpc; readonly files: Files; readonly clock: Clock };
  readonly #directory: string;
  readonly #manager: DeviceManager;
  readonly #look: DirectoryLook;
  readonly #known = new Map<string, Known>();

  constructor(
    ports: { readonly grpc: Grpc; readonly files: Files; readonly clock: Clock },
    directory: string,
    manager: DeviceManager,
  ) {
    this.#ports = ports;
    this.#directory = directory;
    this.#manager = manager;
    this.#look = new DirectoryLook(ports.files, ports.clock, directory, () => this.#scan());
  }

  start(): void {
    this.#look.start();
  }

  stop(): void {
    this.#look.stop();
  }

  #scan(): void {
    const sockets = this.#sockets();
    for (const [path, known] of this.#known) {
      if (sockets.get(path) === known.inode) continue;
      this.#known.delete(path);
      if (known.endpoint !== null) this.#manager.deregister(known.endpoint);
    }
    for (const [path, inode] of sockets) {
      const known = this.#known.get(path) ?? { inode, endpoint: null, notBefore: 0, failures: 0, asking: false };
      this.#known.set(path, known);
      if (known.endpoint !== null || known.asking || this.#ports.clock.monotonic() < known.notBefore) continue;
      known.asking = true;
      void this.#ask(path, known);
    }
  }

  #sockets(): ReadonlyMap<string, number> {
    const sockets = new Map<string, number>();
    for (const name of this.#ports.files.list(this.#directory)) {
      if (name.startsWith('.')) continue;
      try {
        const { kind, inode } = this.#ports.files.linkStat(`${this.#directory}/${name}`);
        if (kind === 'socket') sockets.set(`${this.#directory}/${name}`, inode);
      } catch (error) {
        // Gone between list and stat.
        if (!(error instanceof FileError)) throw error;
      }
    }
    return sockets;
  }

  async #ask(path: string, known: Known): Promise<void> {
    const channel = this.#ports.grpc.connect(path);
    try {
      const info = await call(channel, pluginRegistration.getInfo, {}, 1000);
      const refusal =
        info.type !== 'DevicePlugin'
          ? `no handler for plugins of type ${info.type}`
          : !info.supportedVersions.includes(devicePluginVersion)
            ? `none of the versions ${info.supportedVersions.join(', ')} is ${devicePluginVersion}`
            : refuseResourceName(info.name);
      if (refusal === null) {
        const socket = info.endpoint === '' ? path : info.endpoint;
        known.endpoint = await PluginEndpoint.dial(this.#ports, info.name, socket, 10_000, this.#manager);
        this.#manager.register(known.endpoint);
      }
      const status = { pluginRegistered: refusal === null, error: refusal ?? '' };
      await call(channel, pluginRegistration.notifyRegistrationStatus, status, 5000);
      if (refusal !== null) this.#postpone(known);
    } catch {
      // Kubelet logs it and tries again.
      this.#postpone(known);
    } finally {
      known.asking = false;
      channel.close();
    }
  }

  #postpone(known: Known): void {
    known.notBefore = this.#ports.clock.monotonic() + 500 * 2 ** known.failures;
    known.failures += 1;
  }
}

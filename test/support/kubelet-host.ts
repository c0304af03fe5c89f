// A temporary directory with a kubelet stand-in on real unix sockets, and everything that a device plugin needs beside it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DevicePluginServer } from '../../src/kubelet/device-plugin-server.ts';
import type { DeviceHandlers, PluginOptions, PluginState } from '../../src/kubelet/device-plugin-server.ts';
import { createGrpc } from '../../src/kubelet/grpc-adapter.ts';
import type { ListedDevice } from '../../src/kubelet/messages.ts';
import { registerByCall } from '../../src/kubelet/registration.ts';
import { createClock } from '../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../src/runtime/files-adapter.ts';
import { createRandom } from '../../src/runtime/random-adapter.ts';
import { KubeletStandIn } from '../../src/simulation/kubelet-stand-in.ts';
import type { KubeletStandInOptions } from '../../src/simulation/kubelet-stand-in.ts';

/** The resource that the tests offer. */
export const resource = 'vfio-operator.dev/gpu';

/** Handlers that hand out nothing but a variable with the ids. */
const plainHandlers: DeviceHandlers = {
  prefer: ({ available, size }) => available.slice(0, size),
  allocate: (ids) =>
    Promise.resolve({ envs: { IDS: ids.join(',') }, mounts: [], devices: [], annotations: {}, cdiDevices: [] }),
  preStart: () => Promise.resolve(),
};

/** A device of a list. */
export function listed(id: string, health = 'Healthy', numaNodes: readonly number[] = []): ListedDevice {
  return { id, health, numaNodes };
}

/** Waits until `holds` answers true; fails with `what` after 20 s. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`20 s passed and still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Opens the host; `close` ends every plugin and the kubelet, and removes the directory. */
export function createKubeletHost({
  watchesRegistry = false,
  ...options
}: Partial<KubeletStandInOptions> & { readonly watchesRegistry?: boolean } = {}) {
  const root = mkdtempSync(join(tmpdir(), 'kubelet-'));
  const directory = join(root, 'device-plugins');
  const ports = { grpc: createGrpc(), files: createFiles(), clock: createClock(), random: createRandom() };
  const kubelet = new KubeletStandIn(ports, {
    directory,
    podResourcesDirectory: join(root, 'pod-resources'),
    registryDirectory: watchesRegistry ? join(root, 'plugins_registry') : null,
    ...options,
  });
  const plugins: DevicePluginServer[] = [];
  const states: PluginState[] = [];
  return {
    root,
    directory,
    registryDirectory: join(root, 'plugins_registry'),
    ports,
    kubelet,
    /** Every state that was reported, oldest first. */
    states,
    podResourcesSocket: join(root, 'pod-resources', 'kubelet.sock'),
    plugin(options: Partial<PluginOptions> = {}): DevicePluginServer {
      const plugin = new DevicePluginServer(ports, {
        resource,
        prefix: 'vfio-operator',
        registration: registerByCall(ports, directory),
        handlers: plainHandlers,
        devices: [],
        onState: (state) => states.push(state),
        ...options,
      });
      plugins.push(plugin);
      return plugin;
    },
    async close() {
      await Promise.all(plugins.map((plugin) => plugin.stop()));
      await kubelet.stop();
      rmSync(root, { recursive: true });
    },
  };
}

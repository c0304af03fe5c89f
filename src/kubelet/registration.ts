// How kubelet learns of a plugin, as the plugin's lifecycle sees it, and the usual way: calling Register on kubelet.sock.
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';
import { call, devicePluginVersion, registration } from './contracts.ts';
import type { DevicePluginOptions } from './messages.ts';
import { GrpcError } from './ports.ts';
import type { Grpc, Route } from './ports.ts';

/** What every plugin of ours asks of kubelet. */
export const pluginOptions: DevicePluginOptions = { preStartRequired: true, getPreferredAllocationAvailable: true };

/** Kubelet dials back within Register, for up to 10 s. */
const registerDeadline = 20_000;

/** One resource's way to kubelet. */
export interface RegistrationWay {
  /** Where the plugin's socket lies. */
  readonly directory: string;
  /** Methods that the plugin's socket answers besides the device plugin's own. */
  readonly routes: readonly Route[];
  /**
   * Resolves when kubelet has accepted the plugin that serves on `socket` (a file name); rejects with `RegistrationFailed`. After
   * `ending` nobody waits for it any more.
   */
  register(socket: string, ending: AbortSignal): Promise<void>;
  /** Tells one kubelet from its successor; null: none is there, or it cannot be told. */
  kubelet(): string | null;
}

/** Makes the way for one resource. */
export type MakeRegistration = (resource: string) => RegistrationWay;

/** Kubelet was not reached, or said no. */
export class RegistrationFailed extends Error {
  override readonly name = 'RegistrationFailed';
}

/** The way over kubelet.sock in `directory`, `/var/lib/kubelet/device-plugins` on every host: kubelet's root directory does not move it. */
export function registerByCall(ports: { grpc: Grpc; files: Files }, directory: string): MakeRegistration {
  const path = `${directory}/kubelet.sock`;
  return (resource) => ({
    directory,
    routes: [],
    async register(socket, ending) {
      const channel = ports.grpc.connect(path);
      const request = {
        version: devicePluginVersion,
        endpoint: socket,
        resourceName: resource,
        options: pluginOptions,
      };
      const hangUp = (): void => channel.close();
      ending.addEventListener('abort', hangUp);
      try {
        await call(channel, registration.register, request, registerDeadline);
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        throw new RegistrationFailed(`Register ${resource} at ${path}: ${error.code}: ${error.message}`, {
          cause: error,
        });
      } finally {
        ending.removeEventListener('abort', hangUp);
        channel.close();
      }
    },
    kubelet() {
      try {
        // A tmpfs gives a deleted file's inode number to the next one: only with ctime it tells them apart.
        const { device, inode, changedAt } = ports.files.stat(path);
        return `${device}:${inode}:${changedAt}`;
      } catch (error) {
        if (error instanceof FileError) return null;
        throw error;
      }
    },
  });
}

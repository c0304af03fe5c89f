// The other way to kubelet: a socket in its plugins_registry directory, which it finds, asks and tells what came of it. A restarted
// kubelet finds it again by itself. Needs kubelet 1.29: the dial of older ones sends a raw path as authority, which Node refuses.
import { answer, devicePluginVersion, pluginRegistration } from './contracts.ts';
import { RegistrationFailed } from './registration.ts';
import type { MakeRegistration } from './registration.ts';

/** The way over the plugins_registry `directory` (below kubelet's root directory). The same socket serves the plugin itself. */
export function registerByDirectory(directory: string): MakeRegistration {
  return (resource) => {
    let waiting: PromiseWithResolvers<void> | null = null;
    return {
      directory,
      routes: [
        answer(pluginRegistration.getInfo, () => ({
          type: 'DevicePlugin',
          name: resource,
          // Empty: the socket that was asked.
          endpoint: '',
          supportedVersions: [devicePluginVersion],
        })),
        answer(pluginRegistration.notifyRegistrationStatus, ({ pluginRegistered, error }) => {
          if (pluginRegistered) waiting?.resolve();
          else waiting?.reject(new RegistrationFailed(`kubelet refused ${resource} found in ${directory}: ${error}`));
          waiting = null;
          return {};
        }),
      ],
      // Kubelet comes when it comes; if it says no, it asks again by itself with back-off.
      register: () => (waiting ??= Promise.withResolvers<void>()).promise,
      kubelet: () => null,
    };
  };
}

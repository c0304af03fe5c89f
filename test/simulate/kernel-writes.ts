// What a write to the kernel is about: the device, and which others it reaches.
import type { SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';

/** The addresses of a PF's virtual functions. */
export function virtualFunctionsOf({ files }: SimulatedKernel, address: string): readonly string[] {
  const directory = `/sys/bus/pci/devices/${address}`;
  if (!files.exists(directory)) return [];
  return files
    .list(directory)
    .filter((name) => name.startsWith('virtfn'))
    .map((name) => files.readLink(`${directory}/${name}`).split('/').at(-1) ?? '');
}

/** The device and what is done to it; null for a path that nobody writes to. */
export function parseWrite(path: string, text: string): { readonly address: string; readonly action: string } | null {
  const ofDriver = /^\/sys\/bus\/\w+\/drivers\/[^/]+\/(bind|unbind)$/.exec(path);
  if (ofDriver !== null) return { address: text.trim(), action: ofDriver[1] ?? '' };
  if (/^\/sys\/bus\/\w+\/drivers_probe$/.test(path)) return { address: text.trim(), action: 'drivers_probe' };
  const ofDevice = /^\/sys\/bus\/\w+\/devices\/([^/]+)\/(driver_override|sriov_numvfs|sriov_drivers_autoprobe)$/.exec(
    path,
  );
  return ofDevice === null ? null : { address: ofDevice[1] ?? '', action: ofDevice[2] ?? '' };
}

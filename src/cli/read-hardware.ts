// What `explain` tells of a PCIe function's link and errors. Reading the link wakes a sleeping device up on newer kernels, so on a live
// host only one that is awake is asked.
import type { Device } from '../domain/device.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { parseErrors } from '../host/pcie-link.ts';
import { FileError, type Files } from '../runtime/ports.ts';

/** Texts as the kernel gives them, e.g. `16.0 GT/s PCIe` and `16`; null where the device has or says nothing. */
export interface Hardware {
  /** Not asked, since that would wake it up. */
  readonly asleep: boolean;
  readonly linkSpeed: string | null;
  readonly maxLinkSpeed: string | null;
  readonly linkWidth: string | null;
  readonly maxLinkWidth: string | null;
  /** Errors it has reported since the kernel found it. */
  readonly fatalErrors: number | null;
  readonly nonfatalErrors: number | null;
  readonly correctableErrors: number | null;
}

/** Reads them; null for a device of another bus. */
export function readHardware(device: Device, files: Files, paths: HostPaths): Hardware | null {
  if (device.bus !== 'pci') return null;
  const directory = paths.device(device.bus, device.address);
  const read = (name: string): string | null => {
    try {
      const text = files.readText(`${directory}/${name}`, 4096).trim();
      return text === '' ? null : text;
    } catch (error) {
      if (error instanceof FileError) return null;
      throw error;
    }
  };
  const asleep = paths.kind !== 'copy' && read('power/runtime_status') === 'suspended';
  const ask = (name: string): string | null => (asleep ? null : read(name));
  return {
    asleep,
    linkSpeed: ask('current_link_speed'),
    maxLinkSpeed: ask('max_link_speed'),
    linkWidth: ask('current_link_width'),
    maxLinkWidth: ask('max_link_width'),
    fatalErrors: parseErrors(read('aer_dev_fatal')),
    nonfatalErrors: parseErrors(read('aer_dev_nonfatal')),
    correctableErrors: parseErrors(read('aer_dev_correctable')),
  };
}

/** The lines for a person; none where there is nothing to say. */
export function describeHardware(hardware: Hardware): readonly string[] {
  const { asleep, linkSpeed, linkWidth, maxLinkSpeed, maxLinkWidth } = hardware;
  const { fatalErrors, nonfatalErrors, correctableErrors } = hardware;
  const most = linkSpeed === maxLinkSpeed && linkWidth === maxLinkWidth;
  const link = `PCIe link ${describeLanes(linkSpeed, linkWidth)}`;
  const counts = [
    ...(fatalErrors === null ? [] : [`${fatalErrors} fatal`]),
    ...(nonfatalErrors === null ? [] : [`${nonfatalErrors} nonfatal`]),
    ...(correctableErrors === null ? [] : [`${correctableErrors} correctable`]),
  ];
  return [
    ...(asleep ? ['asleep, so its PCIe link is not asked: that could wake it up'] : []),
    ...(linkWidth === null
      ? []
      : [most ? link : `${link}; the device can do ${describeLanes(maxLinkSpeed, maxLinkWidth)}`]),
    ...(counts.length === 0 ? [] : [`PCIe errors since the kernel found it: ${counts.join(', ')}`]),
  ];
}

function describeLanes(speed: string | null, width: string | null): string {
  return `${speed?.replace(/ PCIe$/, '') ?? '?'} x${width ?? '?'}`;
}

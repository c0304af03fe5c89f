// The PCIe device serial number. Reading it wakes a sleeping device and may wait for a reset to end, so it is read only when a policy
// selects by it, once per device directory; then also of a sleeping device, as one whose number is unknown would drop out of its
// policy. Kernels with the attribute `serial_number` are asked through it; else the number is in extended config space, of which a
// process without CAP_SYS_ADMIN sees the first 64 bytes (pci_read_config).
import type { Unread } from '../domain/device.ts';
import { FileError, type Files } from '../runtime/ports.ts';
import type { Sysfs } from './sysfs.ts';

const extendedSpace = 0x100;
const serialNumberCapability = 0x0003;
// The extended space is 3840 bytes and a capability takes 8 at least, so a longer chain is a loop.
const longestChain = 480;

/** `aa-bb-cc-dd-ee-ff-00-11`; null when the device has none; why not, when it could not be read. */
export function readSerialNumber(files: Files, sysfs: Sysfs, directory: string): string | null | Unread {
  const shown = sysfs.readOptionalAttribute(`${directory}/serial_number`)?.toLowerCase();
  if (shown !== undefined && /^[0-9a-f]{2}(-[0-9a-f]{2}){7}$/.test(shown)) return shown;
  const config = `${directory}/config`;
  try {
    // Conventional PCI devices, and PCIe ones whose extended space the kernel cannot reach, have 256 bytes.
    if (files.stat(config).size <= extendedSpace) return null;
    return findSerialNumber(files, config);
  } catch (error) {
    if (error instanceof FileError) return { source: config, why: `${error.operation}: ${error.code}` };
    throw error;
  }
}

function findSerialNumber(files: Files, config: string): string | null | Unread {
  let offset = extendedSpace;
  for (let step = 0; step < longestChain && offset >= extendedSpace; step += 1) {
    const header = readWord(files, config, offset);
    if (header === null) {
      return { source: config, why: 'only part of config space is shown: the rest needs CAP_SYS_ADMIN' };
    }
    // 0: no capabilities at all; all ones: the device does not answer.
    if (header === 0 || header === 0xffff_ffff) return null;
    if ((header & 0xffff) === serialNumberCapability) {
      const low = readWord(files, config, offset + 4);
      const high = readWord(files, config, offset + 8);
      return low === null || high === null ? null : `${toDashed(high)}-${toDashed(low)}`;
    }
    // Bits 20 to 31 are the next capability's offset, of which the lowest two are reserved.
    offset = (header >>> 20) & 0xffc;
  }
  return null;
}

function readWord(files: Files, config: string, offset: number): number | null {
  const [a, b, c, d] = files.readBytes(config, offset, 4);
  if (a === undefined || b === undefined || c === undefined || d === undefined) return null;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

function toDashed(word: number): string {
  return (word.toString(16).padStart(8, '0').match(/../g) ?? []).join('-');
}

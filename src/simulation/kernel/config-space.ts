// The bytes of a function's PCI configuration space that anybody here reads: ids, class, header type, and the extended
// capability with the device serial number. Layout as in the PCI specification and linux/pci_regs.h.
import type { PciSpec } from './spec.ts';

const size = 4096;
const deviceSerialNumber = 0x0003;

/** Configuration space of a function. */
export function configSpace(spec: PciSpec): Uint8Array {
  const bytes = new Uint8Array(spec.serialNumber === undefined ? 256 : size);
  const view = new DataView(bytes.buffer);
  const hex = (text: string | undefined): number => Number.parseInt(text ?? '0', 16);
  view.setUint16(0x00, hex(spec.vendor), true);
  view.setUint16(0x02, hex(spec.device), true);
  view.setUint16(0x06, 0x0010, true);
  view.setUint8(0x08, 0x01);
  view.setUint8(0x09, hex(spec.class.slice(4, 6)));
  view.setUint8(0x0a, hex(spec.class.slice(2, 4)));
  view.setUint8(0x0b, hex(spec.class.slice(0, 2)));
  view.setUint8(0x0e, spec.secondaryBus === undefined ? 0 : 1);
  if (spec.secondaryBus === undefined) {
    view.setUint16(0x2c, hex(spec.subsystemVendor), true);
    view.setUint16(0x2e, hex(spec.subsystemDevice), true);
  } else {
    view.setUint8(0x19, spec.secondaryBus);
  }
  if (spec.serialNumber !== undefined) {
    view.setUint32(0x100, deviceSerialNumber | (1 << 16), true);
    view.setUint32(0x104, hex(spec.serialNumber.slice(8)), true);
    view.setUint32(0x108, hex(spec.serialNumber.slice(0, 8)), true);
  }
  return bytes;
}

// What somebody wrote after `match` or `explain`: a device's address, or a modalias, each in the forms that other tools print.
import type { Bus } from '../domain/device.ts';

/** A modalias with its bus, or an address to look up. */
export type MatchSubject =
  | { readonly kind: 'Modalias'; readonly bus: Bus; readonly modalias: string }
  | { readonly kind: 'Address'; readonly address: string };

/** The match strings that the kernel writes, by the prefix that names their kind (of and acpi are the platform bus's). */
const busOfPrefix: Readonly<Record<string, Bus>> = {
  pci: 'pci',
  cdx: 'cdx',
  'fsl-mc': 'fsl-mc',
  fsl_mc: 'fsl-mc',
  platform: 'platform',
  of: 'platform',
  acpi: 'platform',
};

/** Reads the argument. A modalias may begin with `vfio_`, which is left out; everything that is no modalias is an address. */
export function parseMatchSubject(text: string): MatchSubject {
  const trimmed = text.trim();
  const modalias = trimmed.replace(/^vfio[_-]/, '');
  const bus = busOfPrefix[/^([a-z_-]+):/.exec(modalias)?.[1] ?? ''] ?? (/^of:?N/.test(modalias) ? 'platform' : null);
  if (bus !== null) return { kind: 'Modalias', bus, modalias };
  return { kind: 'Address', address: parseAddress(trimmed) };
}

/** A PCI address without its domain (as lspci prints it) or in upper case, in the kernel's form; anything else as it is. */
export function parseAddress(text: string): string {
  const match = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/i.exec(text.trim());
  return match === null ? text.trim() : `${match[1] ?? '0000'}:${match[2] ?? ''}`.toLowerCase();
}

// What a container runtime is told of our devices by CDI, the container device interface (its SPEC.md, and its Go validator, which is
// stricter): documents that give every advertised device a name and the nodes that come with it. Pure. A container that is given a
// device by its name has the nodes that Allocate would have listed. Variables stay with Allocate: a document knows one device at a
// time, and of two devices that set the same variable the last would win.
import { deviceNodes } from './allocation.ts';
import type { DeviceNode } from './allocation.ts';
import type { AdvertisedDevice, ResourcePool } from './resource-pool.ts';

/** One device of a document. `path` is the node's path in the container and, as no `hostPath` is given, on the host. */
export interface CdiDevice {
  readonly name: string;
  readonly containerEdits: { readonly deviceNodes: readonly DeviceNode[] };
}

/** A document as it is written: JSON of exactly this. */
export interface CdiSpec {
  readonly cdiVersion: '0.3.0' | '0.5.0' | '0.6.0';
  /** `vendor/class`. */
  readonly kind: string;
  /** Sorted as in the pools; never empty, since a runtime refuses a document without devices. */
  readonly devices: readonly CdiDevice[];
}

/** Longest class, in characters. */
const classLimit = 63;

/**
 * The CDI kind of a resource: the resource's own name wherever CDI allows it. CDI's validator wants vendor and class to begin with a
 * letter, and indexes past the end of one that is a single character. A domain that does not fit becomes a name below itself
 * (`3com.com` → `cdi.3com.com`), and a name that does not gets `device-` before it (`3090` → `device-3090`), cut to 63 characters. Two resources may so come to one kind; they then share a
 * document, in which nothing meets, as device ids are unique over all resources.
 */
export function cdiKind(resource: string): string {
  const slash = resource.indexOf('/');
  const domain = resource.slice(0, slash);
  const name = resource.slice(slash + 1);
  const vendor = fitsKind(domain) ? domain : `cdi.${domain}`;
  const shortened = `device-${name}`.slice(0, classLimit).replace(/[-_.]+$/, '');
  return `${vendor}/${fitsKind(name) ? name : shortened}`;
}

/** The names by which a runtime finds these devices, `vendor/class=device`, or the sentence that says which cannot have one. */
export function cdiNames(
  resource: string,
  devices: readonly AdvertisedDevice[],
): { readonly names: readonly string[] } | { readonly missing: string } {
  const nameless = devices.find((device) => !isDeviceName(device.id));
  if (nameless !== undefined) {
    return {
      missing: `CDI allows only letters, digits and _ - . : in a device's name, so ${nameless.id} cannot have one`,
    };
  }
  return { names: devices.map((device) => `${cdiKind(resource)}=${device.id}`) };
}

/**
 * The documents for these pools, one per kind, sorted by kind. A device without the nodes that its pool asks for is left out, for
 * Allocate refuses it; a kind of which nothing is left has no document. What is unhealthy stays in: a pod may still have it.
 */
export function buildCdiSpecs(pools: readonly ResourcePool[]): readonly CdiSpec[] {
  const kinds = new Map<string, CdiDevice[]>();
  for (const pool of pools) {
    const kind = cdiKind(pool.resource);
    const devices = pool.devices.flatMap((device) => toCdiDevice(device, pool.deviceNodes));
    if (devices.length > 0) kinds.set(kind, [...(kinds.get(kind) ?? []), ...devices]);
  }
  return [...kinds]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, devices]) => ({ cdiVersion: oldestVersion(kind, devices), kind, devices }));
}

function toCdiDevice(device: AdvertisedDevice, wanted: ResourcePool['deviceNodes']): readonly CdiDevice[] {
  const found = deviceNodes(device, wanted);
  if ('missing' in found || !isDeviceName(device.id)) return [];
  return [{ name: device.id, containerEdits: { deviceNodes: found.nodes } }];
}

// A runtime refuses a document that is newer than its library. Device names that begin with a digit, as PCI addresses do, came with
// 0.5.0, dots in the class with 0.6.0; 0.3.0 is the first release (MinimumRequiredVersion in CDI's specs-go/version.go).
function oldestVersion(kind: string, devices: readonly CdiDevice[]): CdiSpec['cdiVersion'] {
  if (kind.slice(kind.indexOf('/')).includes('.')) return '0.6.0';
  return devices.every((device) => startsWithLetter(device.name)) ? '0.3.0' : '0.5.0';
}

function fitsKind(part: string): boolean {
  return startsWithLetter(part) && part.length > 1;
}

function startsWithLetter(text: string): boolean {
  return /^[A-Za-z]/.test(text);
}

// PCI, fsl-mc and most platform addresses are such names; a device tree can make others, such as `gpio@0`.
function isDeviceName(id: string): boolean {
  return /^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(id);
}

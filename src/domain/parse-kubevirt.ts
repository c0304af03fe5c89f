// From a KubeVirt object (kubevirt.io/v1) to the part of it that permits host devices. The object belongs to somebody else and may be of
// any version: what is not as documented is left out, never guessed. Pure.
import type { KubeVirtConfig, PermittedDevice } from './kubevirt-permits.ts';

type Fields = Readonly<Record<string, unknown>>;

/** The configuration; null when the document is no KubeVirt object. */
export function parseKubeVirt(document: unknown): KubeVirtConfig | null {
  const object = fieldsOf(document);
  const metadata = fieldsOf(object.metadata);
  if (typeof metadata.name !== 'string' || typeof metadata.namespace !== 'string') return null;
  const permitted = fieldsOf(fieldsOf(object.spec).configuration).permittedHostDevices;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    owner: ownerOf(metadata.ownerReferences),
    permitted: isFields(permitted) ? { devices: devicesOf(permitted.pciHostDevices) } : null,
  };
}

/** Entries keep their places, since a patch names them by index. */
function devicesOf(value: unknown): readonly PermittedDevice[] | null {
  if (!Array.isArray(value)) return null;
  return value.map((entry: unknown): PermittedDevice => {
    const { pciVendorSelector, resourceName, externalResourceProvider } = fieldsOf(entry);
    return {
      selector: typeof pciVendorSelector === 'string' ? pciVendorSelector.toLowerCase() : '',
      resource: typeof resourceName === 'string' ? resourceName : '',
      external: externalResourceProvider === true,
    };
  });
}

function ownerOf(value: unknown): string | null {
  const owners: readonly unknown[] = Array.isArray(value) ? value : [];
  const owner = fieldsOf(owners[0]);
  return typeof owner.kind === 'string' && typeof owner.name === 'string' ? `${owner.kind}/${owner.name}` : null;
}

function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

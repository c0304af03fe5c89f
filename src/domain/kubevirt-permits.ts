// What KubeVirt permits, held against what we offer. KubeVirt starts a virtual machine with a host device only when its resource is in
// `spec.configuration.permittedHostDevices.pciHostDevices` of the KubeVirt object (where that is set at all), and offers the devices of
// an entry by a plugin of its own unless `externalResourceProvider` is true. Pure; changes nothing: the list is atomic, so whoever wrote
// into it would fight with whoever else does. It says what to change, exactly.

/** One entry of `pciHostDevices`. */
export interface PermittedDevice {
  /** `vendor:device` in lower case. */
  readonly selector: string;
  readonly resource: string;
  readonly external: boolean;
}

/** The part of a KubeVirt object that matters here. */
export interface KubeVirtConfig {
  readonly namespace: string;
  readonly name: string;
  /** Null: `permittedHostDevices` is not set, and KubeVirt checks nothing. `devices` null: it has no `pciHostDevices`. */
  readonly permitted: { readonly devices: readonly PermittedDevice[] | null } | null;
  /** `Kind/name` of the object that this one is made from, and that would undo a change here; null: none. */
  readonly owner: string | null;
}

/** A resource that policies offer to virtual machines. */
export interface OfferedResource {
  readonly name: string;
  /** `vendor:device` of the devices that nodes have in it, sorted; empty: none yet. */
  readonly ids: readonly string[];
}

/**
 * What is wrong. `NotPermitted`: the resource is in no entry. `NotExternal`: KubeVirt runs a plugin for it too, and kubelet has now one,
 * now the other. `OtherSelector`: the entry names another device. `OfferedTwice`: KubeVirt's plugin offers our devices under another name.
 */
export const permitCodes = ['NotPermitted', 'NotExternal', 'OtherSelector', 'OfferedTwice'] as const;
export type PermitCode = (typeof permitCodes)[number];

export interface PermitProblem {
  readonly resource: string;
  readonly code: PermitCode;
  readonly message: string;
}

/** One operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'test' | 'replace' | 'remove' | 'add';
  readonly path: string;
  readonly value?: unknown;
}

const parent = '/spec/configuration/permittedHostDevices';
const list = `${parent}/pciHostDevices`;

/** Everything that is wrong with these resources, in their order. */
export function findPermitProblems(
  config: KubeVirtConfig,
  resources: readonly OfferedResource[],
): readonly PermitProblem[] {
  const devices = config.permitted?.devices ?? [];
  if (config.permitted === null) return [];
  return resources.flatMap(({ name, ids }): PermitProblem[] => {
    const problem = (code: PermitCode, message: string): PermitProblem => ({ resource: name, code, message });
    const mine = devices.filter(({ resource }) => resource === name);
    const doubled = devices.filter((one) => isRival(one, name, ids));
    return [
      ...(mine.length === 0 ? [problem('NotPermitted', 'is not in permittedHostDevices.pciHostDevices')] : []),
      ...(mine.some(({ external }) => !external)
        ? [problem('NotExternal', "lacks externalResourceProvider: true, so KubeVirt's own plugin registers it too")]
        : []),
      ...(mine.length > 0 && ids.length > 0 && !mine.some(({ selector }) => ids.includes(selector))
        ? [
            problem(
              'OtherSelector',
              `has pciVendorSelector ${mine.map(({ selector }) => selector).join(', ')}, its devices are ${ids.join(', ')}`,
            ),
          ]
        : []),
      ...doubled.map(({ selector, resource }) =>
        problem('OfferedTwice', `has ${selector}, which KubeVirt's own plugin offers as ${resource} too`),
      ),
    ];
  });
}

/** KubeVirt's own plugin would take devices of ours, under another name. */
function isRival({ selector, resource, external }: PermittedDevice, name: string, ids: readonly string[]): boolean {
  return !external && resource !== name && ids.includes(selector);
}

/**
 * The JSON patch that cures all of it; empty: nothing to do. Every change of what is there is preceded by a test that it still is, so a
 * patch that was printed and pasted later cannot hit another entry.
 */
export function toPermitPatch(
  config: KubeVirtConfig,
  resources: readonly OfferedResource[],
): readonly PatchOperation[] {
  if (config.permitted === null) return [];
  const devices = config.permitted.devices ?? [];
  const offered = new Map(resources.map((resource) => [resource.name, resource]));
  const test = (index: number): PatchOperation => ({
    op: 'test',
    path: `${list}/${index}/resourceName`,
    value: devices[index]?.resource ?? '',
  });
  const replaced = devices.flatMap((device, index): PatchOperation[] => {
    const resource = offered.get(device.resource);
    if (resource === undefined) return [];
    const selector = wrongSelector(devices, resource, index);
    if (device.external && selector === null) return [];
    return [
      test(index),
      ...(device.external
        ? []
        : [{ op: 'add' as const, path: `${list}/${index}/externalResourceProvider`, value: true }]),
      ...(selector === null
        ? []
        : [{ op: 'replace' as const, path: `${list}/${index}/pciVendorSelector`, value: selector }]),
    ];
  });
  const removed = devices
    .map((device, index) => ({ device, index }))
    .filter(({ device }) => !offered.has(device.resource))
    .filter(({ device }) => resources.some(({ name, ids }) => isRival(device, name, ids)))
    .toReversed()
    .flatMap(({ index }): PatchOperation[] => [test(index), { op: 'remove', path: `${list}/${index}` }]);
  const added = resources.flatMap(({ name, ids: [id] }) =>
    id === undefined || devices.some(({ resource }) => resource === name)
      ? []
      : [{ pciVendorSelector: id, resourceName: name, externalResourceProvider: true }],
  );
  return [...replaced, ...removed, ...addEntries(config.permitted.devices === null, added)];
}

/** The selector that the entry must get; null: it may keep its own. Of several entries of one resource the first is changed. */
function wrongSelector(devices: readonly PermittedDevice[], { name, ids }: OfferedResource, at: number): string | null {
  const [id] = ids;
  const mine = devices.filter(({ resource }) => resource === name);
  if (id === undefined || mine.some(({ selector }) => ids.includes(selector))) return null;
  return devices.findIndex(({ resource }) => resource === name) === at ? id : null;
}

function addEntries(listIsMissing: boolean, entries: readonly unknown[]): readonly PatchOperation[] {
  if (entries.length === 0) return [];
  return listIsMissing
    ? [{ op: 'add', path: list, value: entries }]
    : entries.map((value) => ({ op: 'add', path: `${list}/-`, value }));
}

/** The command that applies a patch. */
export function toPatchCommand({ namespace, name }: KubeVirtConfig, patch: readonly PatchOperation[]): string {
  return `kubectl -n ${namespace} patch kubevirts.kubevirt.io ${name} --type=json -p '${JSON.stringify(patch)}'`;
}

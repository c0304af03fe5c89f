// The reading half of CDI, as far as our documents go, written from the specification and its Go library: what a runtime refuses in a
// document, and what it puts into a container that is given devices by name.
import type { DeviceNode } from '../../src/domain/allocation.ts';
import type { Files } from '../../src/runtime/ports.ts';

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is wrong with a document by CDI's rules; empty: nothing. */
export function cdiViolations(document: unknown): readonly string[] {
  if (!isRecord(document)) return ['no object'];
  const { cdiVersion, kind, devices, ...others } = document;
  const [vendor = '', label = '', ...more] = String(kind).split('/');
  const list: readonly unknown[] = Array.isArray(devices) ? devices : [];
  const names = list.map((device) => (isRecord(device) ? device['name'] : null));
  return [
    ...Object.keys(others).map((name) => `unknown field ${name}`),
    ...(typeof kind === 'string' && more.length === 0 ? [] : [`kind ${String(kind)}`]),
    // The prefix is a DNS subdomain of at most 253 characters, the name has at most 63, and the library wants letters first
    // and panics over a single character: it takes name[1:len(name)-1].
    ...(/^[A-Za-z][A-Za-z0-9.-]*[A-Za-z0-9]$/.test(vendor) && vendor.length <= 253 ? [] : [`vendor ${vendor}`]),
    ...(/^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$/.test(label) && label.length <= 63 ? [] : [`class ${label}`]),
    ...(list.length > 0 ? [] : ['no devices']),
    ...(new Set(names).size === names.length ? [] : ['a name twice']),
    ...(cdiVersion === leastVersion(label, names) ? [] : [`version ${String(cdiVersion)}`]),
    ...list.flatMap(deviceViolations),
  ];
}

function deviceViolations(device: unknown): readonly string[] {
  if (!isRecord(device)) return ['device is no object'];
  const { name, containerEdits, ...others } = device;
  const edits = isRecord(containerEdits) ? containerEdits : {};
  const { deviceNodes, ...otherEdits } = edits;
  const nodes: readonly unknown[] = Array.isArray(deviceNodes) ? deviceNodes : [];
  return [
    ...[...Object.keys(others), ...Object.keys(otherEdits)].map((field) => `unknown field ${field}`),
    ...(/^[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?$/.test(String(name)) ? [] : [`device ${String(name)}`]),
    ...(nodes.length > 0 ? [] : [`${String(name)} has no edits`]),
    ...nodes.flatMap((node) => {
      if (!isRecord(node)) return ['node is no object'];
      const { path, permissions, ...rest } = node;
      const fits = typeof path === 'string' && path.startsWith('/dev/') && /^[rwm]+$/.test(String(permissions));
      return fits && Object.keys(rest).length === 0 ? [] : [`node ${JSON.stringify(node)}`];
    }),
  ];
}

// The library's MinimumRequiredVersion, for the features that we use.
function leastVersion(label: string, names: readonly unknown[]): string {
  if (label.includes('.')) return '0.6.0';
  return names.some((name) => /^[0-9]/.test(String(name))) ? '0.5.0' : '0.3.0';
}

/** The nodes that a runtime gives to a container for these names, by path. Throws what the runtime would fail the container with. */
export function injectCdi(files: Files, directory: string, names: readonly string[]): readonly DeviceNode[] {
  const known = new Map<string, readonly DeviceNode[]>();
  for (const file of files.list(directory).filter((name) => /\.(json|yaml)$/.test(name))) {
    const document: unknown = JSON.parse(files.readText(`${directory}/${file}`));
    const wrong = cdiViolations(document);
    if (wrong.length > 0) throw new Error(`${file}: ${wrong.join(', ')}`);
    const { kind, devices } = document as {
      kind: string;
      devices: { name: string; containerEdits: { deviceNodes: DeviceNode[] } }[];
    };
    for (const { name, containerEdits } of devices) {
      const qualified = `${kind}=${name}`;
      if (known.has(qualified)) throw new Error(`conflicting device ${qualified}`);
      known.set(qualified, containerEdits.deviceNodes);
    }
  }
  const unresolved = names.filter((name) => !known.has(name));
  if (unresolved.length > 0) throw new Error(`unresolvable CDI devices ${unresolved.join(', ')}`);
  const nodes = new Map(names.flatMap((name) => (known.get(name) ?? []).map((node) => [node.path, node] as const)));
  return [...nodes.values()];
}

// From a VfioPolicy document, already valid by its schema, to the Policy that the planner reads: every default applied, every rule
// between fields checked. All problems are told at once, each with the field path that the API server would give. Pure.
import type { VfioDeviceSelector, VfioPolicy, VfioPolicySpec, VfioResource } from '../api/generated/types.ts';
import { allowCodes } from './policy.ts';
import type { DeviceSelector, LabelSelector, Policy, ResourcePolicy } from './policy.ts';
import { policySentences as say } from './policy-sentences.ts';

/** What is wrong with a policy. `path` is a field path such as `spec.devices[0].vendor`. */
export interface PolicyProblem {
  readonly path: string;
  readonly message: string;
}

/** A policy, or everything that is wrong with it. */
export type ParsedPolicy = { readonly policy: Policy } | { readonly problems: readonly PolicyProblem[] };

/**
 * Reads one document. `source` is for people: a file with its line, or `VfioPolicy/NAME`. A document that a newer API accepted may
 * hold words this program does not know; they are problems too, never guesses.
 */
export function parsePolicy(document: VfioPolicy, source: string): ParsedPolicy {
  const problems = findPolicyProblems(document);
  if (problems.length > 0) return { problems };
  const { metadata, spec } = document;
  const policy: Policy = {
    name: metadata.name,
    uid: metadata.uid ?? null,
    generation: metadata.generation ?? 0,
    createdAt: parseTime(metadata.creationTimestamp),
    source,
    nodeSelector: toLabelSelector(spec),
    priority: spec.priority ?? 0,
    mode: spec.mode ?? 'Enforce',
    devices: spec.devices.map(toDeviceSelector),
    exclude: (spec.exclude ?? []).map(toDeviceSelector),
    driver: {
      name: spec.driver?.name ?? null,
      module: spec.driver?.module ?? null,
      requireVariant: spec.driver?.requireVariant ?? false,
      aliases: spec.driver?.aliases ?? [],
    },
    iommuGroup: spec.iommuGroup ?? 'RequireSelected',
    virtualFunctions: spec.sriov?.virtualFunctions ?? null,
    resource: spec.resource === undefined ? null : toResourcePolicy(spec.resource),
    allow: spec.allow ?? [],
    onDelete: spec.onDelete ?? 'Restore',
  };
  return { policy };
}

/** Every rule between fields that the document breaks, and every word that this program does not know. */
export function findPolicyProblems(document: VfioPolicy): readonly PolicyProblem[] {
  const { spec } = document;
  return [
    ...findUnknownWords(spec),
    ...findLabelProblems(spec),
    ...spec.devices.flatMap((selector, index) => findSelectorProblems(selector, `spec.devices[${index}]`, true)),
    ...(spec.exclude ?? []).flatMap((selector, index) =>
      findSelectorProblems(selector, `spec.exclude[${index}]`, false),
    ),
    ...findDriverProblems(spec),
    ...findSriovProblems(spec),
    ...(spec.resource === undefined ? [] : findResourceProblems(spec.resource.name)),
  ];
}

/**
 * Whether a modalias glob names a vendor or a class literally. The forms are those of the kernel's modalias printers: `pci:v`8 digits
 * and `bc`2 digits, `cdx:v`4 digits and `c`6 digits, `fsl-mc:v`8 digits, `platform:`name, `acpi:`id, `of:N`name`T`type`C`compatible.
 * Digits inside `[...]` are no literal.
 */
export function namesVendorOrClass(modalias: string): boolean {
  return literalModalias.test(modalias);
}

const literalModalias =
  /^((pci|fsl-mc):v[0-9A-F]{8}|cdx:v[0-9A-F]{4}|pci:([^[]|\[[^\]]+\])*bc[0-9A-F]{2}|cdx:([^[]|\[[^\]]+\])*c[0-9A-F]{2}|platform:[A-Za-z0-9_-]{2}|acpi:[A-Z0-9]{3}|of:N[^C]*C[A-Za-z0-9,._-]{2})/;
/** Anything written like a PCI address, with or without a domain. */
const likePciAddress = /^([0-9A-Fa-f]+:)?[0-9A-Fa-f]+:[0-9A-Fa-f]+[.][0-9A-Fa-f]+$/;
const pciAddress = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f][.][0-7]$/;

/** Closed lists that the agent acts on; absent fields have defaults and are fine. */
function findUnknownWords(spec: VfioPolicySpec): PolicyProblem[] {
  const { resource } = spec;
  return [
    ...findUnknown('spec.mode', [spec.mode], ['Enforce', 'DryRun']),
    ...findUnknown('spec.iommuGroup', [spec.iommuGroup], ['RequireSelected', 'BindCompanions']),
    ...findUnknown('spec.onDelete', [spec.onDelete], ['Restore', 'Retain']),
    ...findUnknown('spec.allow', spec.allow ?? [], allowCodes),
    ...findUnknown('spec.resource.unit', [resource?.unit], ['Group', 'Function']),
    ...findUnknown('spec.resource.deviceNodes', [resource?.deviceNodes], ['Auto', 'Group', 'Cdev', 'Iommufd']),
    ...findUnknown('spec.resource.allocation', [resource?.allocation], ['Packed', 'SpreadPhysicalFunctions']),
    ...findUnknown('spec.resource.environment', resource?.environment ?? [], ['KubeVirt', 'SriovNetwork']),
  ];
}

function findUnknown(
  path: string,
  values: readonly (string | undefined)[],
  known: readonly string[],
): readonly PolicyProblem[] {
  return values
    .filter((value) => value !== undefined && !known.includes(value))
    .map((value) => ({ path, message: `this version does not know "${value}"; it knows ${known.join(', ')}` }));
}

function findLabelProblems(spec: VfioPolicySpec): PolicyProblem[] {
  const expressions = spec.nodeSelector?.matchExpressions ?? [];
  return expressions.flatMap(({ operator, values = [] }, index) => {
    const takesValues = operator === 'In' || operator === 'NotIn';
    if (takesValues === values.length > 0) return [];
    return [{ path: `spec.nodeSelector.matchExpressions[${index}].values`, message: say.labelValues }];
  });
}

function findSelectorProblems(selector: VfioDeviceSelector, path: string, mustBeNarrow: boolean): PolicyProblem[] {
  const problems: PolicyProblem[] = [];
  if (mustBeNarrow && !isNarrow(selector)) problems.push({ path, message: say.selectorTooWide });
  if (selector.physicalFunctions !== undefined && selector.function === 'Physical') {
    problems.push({ path: `${path}.function`, message: say.parentsArePhysical });
  }
  for (const field of ['addresses', 'physicalFunctions'] as const) {
    for (const [index, name] of (selector[field] ?? []).entries()) {
      if (!likePciAddress.test(name) || pciAddress.test(name)) continue;
      problems.push({ path: `${path}.${field}[${index}]`, message: say.pciAddressForm });
    }
  }
  return problems;
}

/** An empty list asks nothing, so it narrows nothing. */
function isNarrow(selector: VfioDeviceSelector): boolean {
  const lists = [
    selector.addresses,
    selector.slots,
    selector.serialNumbers,
    selector.acpiIndexes,
    selector.physicalFunctions,
  ];
  return (
    selector.vendor !== undefined ||
    (selector.class !== undefined && selector.class.length >= 2) ||
    lists.some((list) => list !== undefined && list.length > 0) ||
    (selector.modalias !== undefined && namesVendorOrClass(selector.modalias))
  );
}

function findDriverProblems({ driver }: VfioPolicySpec): PolicyProblem[] {
  if (driver === undefined) return [];
  const problems: PolicyProblem[] = [];
  if (driver.module !== undefined && driver.name === undefined) {
    problems.push({ path: 'spec.driver.module', message: say.moduleNeedsName });
  }
  if (driver.requireVariant === true && driver.name !== undefined) {
    problems.push({ path: 'spec.driver.requireVariant', message: say.variantOrName });
  }
  return problems;
}

function findSriovProblems(spec: VfioPolicySpec): PolicyProblem[] {
  if (spec.sriov === undefined) {
    const needs = (spec.allow ?? []).some((code) => code === 'PrimaryNetwork' || code === 'RootStorage');
    return needs ? [{ path: 'spec.allow', message: say.onlyWithSriov }] : [];
  }
  const wantsVirtual = spec.devices.some(
    (selector) => selector.physicalFunctions !== undefined || selector.function === 'Virtual',
  );
  return wantsVirtual ? [{ path: 'spec.devices', message: say.sriovSelectsParents }] : [];
}

/** Kubelet's rules for extended resource names, as far as a pattern cannot say them; quota adds `requests.` to the domain. */
function findResourceProblems(name: string): PolicyProblem[] {
  const problems: string[] = [];
  if (name.includes('kubernetes.io/')) problems.push(say.kubernetesDomain);
  if (name.startsWith('requests.')) problems.push(say.requestsPrefix);
  if (name.indexOf('/') > 244) problems.push(say.longDomain);
  return problems.map((message) => ({ path: 'spec.resource.name', message }));
}

function parseTime(text: string | undefined): number | null {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

function toLabelSelector({ nodeSelector }: VfioPolicySpec): LabelSelector {
  return {
    matchLabels: nodeSelector?.matchLabels ?? {},
    matchExpressions: (nodeSelector?.matchExpressions ?? []).map(({ key, operator, values = [] }) => ({
      key,
      operator,
      values,
    })),
  };
}

function toDeviceSelector(selector: VfioDeviceSelector): DeviceSelector {
  return {
    bus: selector.bus ?? null,
    vendor: selector.vendor ?? null,
    device: selector.device ?? null,
    subsystemVendor: selector.subsystemVendor ?? null,
    subsystemDevice: selector.subsystemDevice ?? null,
    class: selector.class ?? null,
    modalias: selector.modalias ?? null,
    addresses: selector.addresses ?? [],
    slots: selector.slots ?? [],
    serialNumbers: selector.serialNumbers ?? [],
    acpiIndexes: selector.acpiIndexes ?? [],
    numaNodes: selector.numaNodes ?? [],
    drivers: selector.drivers ?? [],
    function: selector.function ?? 'Any',
    physicalFunctions: selector.physicalFunctions ?? [],
  };
}

function toResourcePolicy(resource: VfioResource): ResourcePolicy {
  return {
    name: resource.name,
    unit: resource.unit ?? 'Group',
    deviceNodes: resource.deviceNodes ?? 'Auto',
    allocation: resource.allocation ?? 'Packed',
    environment: resource.environment ?? ['KubeVirt'],
    cdi: resource.cdi ?? false,
  };
}

// From a VfioPolicy document, already valid by its schema and the CRD's CEL rules, to the Policy that the planner reads, with every
// default applied. A cluster's CRD may be older, newer or edited, and an object older than a rule: what would be dangerous without
// its rule is refused here once more, and so is every word that this program does not know. Pure.
import type { VfioDeviceSelector, VfioPolicy, VfioPolicySpec, VfioResource } from '../api/generated/types.ts';
import { findUnknownWords } from './find-unknown-words.ts';
import type { DeviceSelector, LabelSelector, Policy, PolicyProblem, ResourcePolicy } from './policy.ts';
import { policySentences as say } from './policy-sentences.ts';

/** A policy, or everything that is wrong with it. */
export type ParsedPolicy = { readonly policy: Policy } | { readonly problems: readonly PolicyProblem[] };

/**
 * Reads one document. `source` is for people: a file with its line, or `VfioPolicy/NAME`. A document that a newer API accepted may
 * hold fields and words this program does not know; they are problems too, never guesses.
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

function findPolicyProblems({ spec }: VfioPolicy): readonly PolicyProblem[] {
  return [
    ...findUnknownWords(spec),
    ...spec.devices.flatMap((selector, index) =>
      isNarrow(selector) ? [] : [{ path: `spec.devices[${index}]`, message: say.selectorTooWide }],
    ),
    ...findUnguardedAllow(spec),
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

/** Without sriov these two would let a group be taken with what the node lives on in it. */
function findUnguardedAllow({ sriov, allow = [] }: VfioPolicySpec): PolicyProblem[] {
  const unguarded = allow.some((code) => code === 'PrimaryNetwork' || code === 'RootStorage');
  return sriov === undefined && unguarded ? [{ path: 'spec.allow', message: say.onlyWithSriov }] : [];
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

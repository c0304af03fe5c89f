// What a newer API may say and this program does not know: fields and words of closed lists. A field that is not known could narrow a
// selection or forbid something, so a policy with one is refused and never acted on in part. Pure.
import type {
  VfioDeviceSelector,
  VfioDriver,
  VfioDriverAlias,
  VfioNodeExpression,
  VfioNodeSelector,
  VfioPolicySpec,
  VfioResource,
  VfioSriov,
} from '../api/generated/types.ts';
import { allowCodes } from './policy.ts';
import type { PolicyProblem } from './policy.ts';

/** Every field and word of the spec that this program does not know. Absent fields have defaults and are fine. */
export function findUnknownWords(spec: VfioPolicySpec): readonly PolicyProblem[] {
  const { nodeSelector, driver, sriov, resource } = spec;
  return [
    ...findFields('spec', spec, specFields),
    ...findWords('spec.mode', [spec.mode], ['Enforce', 'DryRun']),
    ...findWords('spec.iommuGroup', [spec.iommuGroup], ['RequireSelected', 'BindCompanions']),
    ...findWords('spec.onDelete', [spec.onDelete], ['Restore', 'Retain']),
    ...findWords('spec.allow', spec.allow ?? [], allowCodes),
    ...findFields('spec.nodeSelector', nodeSelector, nodeSelectorFields),
    ...(nodeSelector?.matchExpressions ?? []).flatMap((expression, at) =>
      findExpressionWords(`spec.nodeSelector.matchExpressions[${at}]`, expression),
    ),
    ...spec.devices.flatMap((selector, at) => findSelectorWords(`spec.devices[${at}]`, selector)),
    ...(spec.exclude ?? []).flatMap((selector, at) => findSelectorWords(`spec.exclude[${at}]`, selector)),
    ...findFields('spec.driver', driver, driverFields),
    ...(driver?.aliases ?? []).flatMap((alias, at) => findFields(`spec.driver.aliases[${at}]`, alias, aliasFields)),
    ...findFields('spec.sriov', sriov, sriovFields),
    ...findResourceWords(resource),
  ];
}

function findExpressionWords(path: string, expression: VfioNodeExpression): readonly PolicyProblem[] {
  return [
    ...findFields(path, expression, expressionFields),
    ...findWords(`${path}.operator`, [expression.operator], ['In', 'NotIn', 'Exists', 'DoesNotExist']),
  ];
}

function findSelectorWords(path: string, selector: VfioDeviceSelector): readonly PolicyProblem[] {
  return [
    ...findFields(path, selector, selectorFields),
    ...findWords(`${path}.bus`, [selector.bus], ['pci', 'platform', 'cdx', 'fsl-mc']),
    ...findWords(`${path}.function`, [selector.function], ['Physical', 'Virtual', 'Any']),
  ];
}

function findResourceWords(resource: VfioResource | undefined): readonly PolicyProblem[] {
  const path = 'spec.resource';
  return [
    ...findFields(path, resource, resourceFields),
    ...findWords(`${path}.unit`, [resource?.unit], ['Group', 'Function']),
    ...findWords(`${path}.deviceNodes`, [resource?.deviceNodes], ['Auto', 'Group', 'Cdev', 'Iommufd']),
    ...findWords(`${path}.allocation`, [resource?.allocation], ['Packed', 'SpreadPhysicalFunctions']),
    ...findWords(`${path}.environment`, resource?.environment ?? [], ['KubeVirt', 'SriovNetwork']),
  ];
}

/** Has every field of the type, and no other: the compiler holds these lists to the generated types. */
type FieldsOf<T> = Readonly<Record<keyof T, true>>;

const specFields: FieldsOf<VfioPolicySpec> = {
  nodeSelector: true,
  priority: true,
  mode: true,
  devices: true,
  exclude: true,
  driver: true,
  iommuGroup: true,
  sriov: true,
  resource: true,
  allow: true,
  onDelete: true,
};
const nodeSelectorFields: FieldsOf<VfioNodeSelector> = { matchLabels: true, matchExpressions: true };
const expressionFields: FieldsOf<VfioNodeExpression> = { key: true, operator: true, values: true };
const selectorFields: FieldsOf<VfioDeviceSelector> = {
  bus: true,
  vendor: true,
  device: true,
  subsystemVendor: true,
  subsystemDevice: true,
  class: true,
  modalias: true,
  addresses: true,
  slots: true,
  serialNumbers: true,
  acpiIndexes: true,
  numaNodes: true,
  drivers: true,
  function: true,
  physicalFunctions: true,
};
const driverFields: FieldsOf<VfioDriver> = { name: true, module: true, requireVariant: true, aliases: true };
const aliasFields: FieldsOf<VfioDriverAlias> = { pattern: true, module: true };
const sriovFields: FieldsOf<VfioSriov> = { virtualFunctions: true };
const resourceFields: FieldsOf<VfioResource> = {
  name: true,
  unit: true,
  deviceNodes: true,
  allocation: true,
  environment: true,
  cdi: true,
};

function findFields(
  path: string,
  value: object | undefined,
  known: Readonly<Record<string, true>>,
): readonly PolicyProblem[] {
  return Object.keys(value ?? {})
    .filter((field) => !Object.hasOwn(known, field))
    .map((field) => ({ path: `${path}.${field}`, message: 'this version does not know this field' }));
}

function findWords(
  path: string,
  values: readonly (string | undefined)[],
  known: readonly string[],
): readonly PolicyProblem[] {
  return values
    .filter((value) => value !== undefined && !known.includes(value))
    .map((value) => ({ path, message: `this version does not know "${value}"; it knows ${known.join(', ')}` }));
}

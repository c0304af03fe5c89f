// Which policies want a device and which do not, each with the reason: the nearest selector's first mismatch where none matches. Pure.
import { selectionContext } from '../domain/assign-devices.ts';
import type { Decision } from '../domain/decision.ts';
import type { Device } from '../domain/device.ts';
import type { PlanInput } from '../domain/plan-input.ts';
import type { DeviceSelector, Policy } from '../domain/policy.ts';
import { describeMismatch, matchesSelector, nodeMatches, type SelectionContext } from '../domain/select-devices.ts';

/** What one policy means for the device. */
export interface PolicyVerdict {
  readonly policy: string;
  /** File and line, or the object. */
  readonly source: string;
  readonly mode: 'Enforce' | 'DryRun';
  readonly priority: number;
  readonly verdict: 'Selected' | 'Lost' | 'Companion' | 'DryRun' | 'Excluded' | 'NotSelected' | 'OtherNode';
  readonly why: string;
}

/** In the order of the policies. `decision` is the plan's, `dryRun` those of the second pass on the same device. */
export function explainSelection(
  device: Device,
  input: PlanInput,
  decision: Decision | null,
  dryRun: readonly Decision[],
): readonly PolicyVerdict[] {
  const context = selectionContext(input.inventory, input.ledger);
  return input.policies.policies.map((policy) => ({
    policy: policy.name,
    source: policy.source,
    mode: policy.mode,
    priority: policy.priority,
    ...judge(policy, device, input, context, decision, dryRun),
  }));
}

function judge(
  policy: Policy,
  device: Device,
  input: PlanInput,
  context: SelectionContext,
  decision: Decision | null,
  dryRun: readonly Decision[],
): Pick<PolicyVerdict, 'verdict' | 'why'> {
  if (!nodeMatches(policy.nodeSelector, input.node.labels))
    return { verdict: 'OtherNode', why: `its nodeSelector does not match the labels of ${input.node.name}` };
  const exclusion = policy.exclude.findIndex((selector) => matchesSelector(selector, device, context).matches);
  if (exclusion !== -1) return { verdict: 'Excluded', why: `exclude[${exclusion}] names it` };
  const match = policy.devices.findIndex((selector) => matchesSelector(selector, device, context).matches);
  const how = match === -1 ? null : `devices[${match}] matches`;
  const own = [decision, ...dryRun].find((one) => one !== null && one.policy === policy.name) ?? null;
  if (own !== null) return describeOwn(policy, own, how, device);
  const lost = decision?.losers.find((loser) => loser.policy === policy.name);
  if (lost !== undefined) return { verdict: 'Lost', why: lost.why };
  if (how !== null && policy.virtualFunctions !== null && device.physicalFunction !== null)
    return { verdict: 'NotSelected', why: `${how}, but with sriov it wants physical functions` };
  return how === null
    ? { verdict: 'NotSelected', why: nearestMismatch(policy, device, context) }
    : { verdict: policy.mode === 'DryRun' ? 'DryRun' : 'Selected', why: how };
}

function describeOwn(
  policy: Policy,
  decision: Decision,
  how: string | null,
  device: Device,
): Pick<PolicyVerdict, 'verdict' | 'why'> {
  if (decision.role === 'Companion')
    return { verdict: 'Companion', why: `it comes along with its IOMMU group ${decision.iommuGroup ?? ''}`.trimEnd() };
  const through =
    device.physicalFunction === null ? null : `its physical function ${device.physicalFunction} is selected`;
  const why = how ?? through ?? 'it was taken for this policy, which does not select it any more';
  return { verdict: policy.mode === 'DryRun' ? 'DryRun' : 'Selected', why };
}

/** The parts of a selector in the order in which they are checked: a mismatch further on is a nearer miss. */
const checkOrder: readonly (keyof DeviceSelector)[] = [
  'bus',
  'vendor',
  'device',
  'subsystemVendor',
  'subsystemDevice',
  'class',
  'addresses',
  'slots',
  'serialNumbers',
  'acpiIndexes',
  'numaNodes',
  'function',
  'drivers',
  'physicalFunctions',
  'modalias',
];

function nearestMismatch(policy: Policy, device: Device, context: SelectionContext): string {
  let nearest = { depth: -1, sentence: 'it has no selectors' };
  for (const [index, selector] of policy.devices.entries()) {
    const match = matchesSelector(selector, device, context);
    if (match.matches) continue;
    const depth = checkOrder.filter((part) => isAsked(selector, part)).indexOf(match.failed);
    if (depth > nearest.depth) nearest = { depth, sentence: `devices[${index}]: ${describeMismatch(match) ?? ''}` };
  }
  return nearest.sentence;
}

function isAsked(selector: DeviceSelector, part: keyof DeviceSelector): boolean {
  const value = selector[part];
  return Array.isArray(value) ? value.length > 0 : value !== null && value !== 'Any';
}

// `explain ADDRESS`: everything there is to say of one device, on one screen. Where no policy wants it, the plan is rehearsed with a
// policy that names just this device, so that what would refuse it is seen before anybody writes one.
import { apiVersion, policyKind } from '../api/constants.ts';
import { chooseDriver } from '../domain/choose-driver.ts';
import { cures } from '../domain/cures.ts';
import type { Decision } from '../domain/decision.ts';
import type { Device, Unread } from '../domain/device.ts';
import type { DriverChoice } from '../domain/driver-choice.ts';
import type { Finding } from '../domain/codes.ts';
import type { LedgerEntry } from '../domain/ledger.ts';
import { parsePolicy } from '../domain/parse-policy.ts';
import type { PlanInput } from '../domain/plan-input.ts';
import { plan } from '../domain/plan.ts';
import { sortFindings } from '../domain/refuse-device.ts';
import type { Transaction } from '../domain/step.ts';
import { printAnswer, type CliParts, type OutputFormat } from './cli-parts.ts';
import { toDeviceView, toSources, type DeviceView } from './device-view.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import { explainSelection, type PolicyVerdict } from './explain-selection.ts';
import { lookAtNode, type NodeLook } from './look-at-node.ts';
import { parseAddress } from './match-subject.ts';
import type { NodeOptions } from './node-options.ts';
import { type Hardware, readHardware } from './read-hardware.ts';
import { renderExplanation } from './render-explanation.ts';

export interface ExplainOptions extends NodeOptions {
  readonly address: string;
  readonly output: OutputFormat;
}

/** A member of the device's IOMMU group. */
export interface GroupMember {
  readonly address: string;
  readonly class: string | null;
  readonly driver: string | null;
  readonly decision: string | null;
}

/** The whole answer. */
export interface Explanation {
  readonly device: DeviceView;
  /** Its link and errors; null on buses that have none. */
  readonly hardware: Hardware | null;
  /** The plan's; null: no policy wants it, and it is not ours. */
  readonly decision: Decision | null;
  /** What policies in DryRun would do with it. */
  readonly dryRun: readonly Decision[];
  /** Without a decision: what would become of it if a policy named just this device. */
  readonly rehearsal: Decision | null;
  readonly policies: readonly PolicyVerdict[];
  readonly choice: DriverChoice;
  readonly group: {
    readonly number: number;
    readonly members: readonly GroupMember[];
    readonly directRegions: readonly string[];
  } | null;
  /** What the host shows about it, with the cure of each. */
  readonly findings: readonly (Finding & { readonly cure: string })[];
  /** Findings that only say that a copy cannot prove anything. */
  readonly unproven: readonly Finding[];
  readonly holders: readonly string[];
  /** What would cure the refusal or hold that is decided; null where there is none. */
  readonly cure: string | null;
  readonly transaction: Transaction | null;
  readonly ledger: LedgerEntry | null;
  readonly assumptions: readonly string[];
  readonly unread: readonly Unread[];
}

/** The command. `notFound` when the host has no such device. */
export async function runExplain(options: ExplainOptions, parts: CliParts): Promise<ExitCode> {
  const address = parseAddress(options.address);
  const look = await lookAtNode(options, parts, [address]);
  const device = look.input.inventory.devices.get(address);
  if (device === undefined)
    throw new CommandFailed(
      exitCodes.notFound,
      `there is no device ${address} on this host; vfio-operator devices lists those there are`,
    );
  const explanation = explain(device, look, readHardware(device, parts.files, look.paths));
  await printAnswer(parts, options.output, explanation, () => renderExplanation(explanation, parts.terminal.paint));
  return exitCodes.ok;
}

/** Puts the answer together. Pure. */
export function explain(device: Device, look: NodeLook, hardware: Hardware | null): Explanation {
  const { input } = look;
  const { address } = device;
  const isIt = (one: { readonly address: string }): boolean => one.address === address;
  const decision = look.plan.decisions.find(isIt) ?? null;
  const dryRun = look.plan.dryRun.filter(isIt);
  const rehearsal = decision === null && dryRun.length === 0 ? rehearse(device, input) : null;
  const decided = decision ?? dryRun[0] ?? rehearsal;
  const code = decided?.code ?? null;
  return {
    device: toDeviceView(device, look.paths.device(device.bus, address), toSources(look.unread), {
      table: input.aliases,
      catalog: input.catalog,
    }),
    hardware,
    decision,
    dryRun,
    rehearsal,
    policies: explainSelection(device, input, decision, dryRun),
    choice: decided?.choice ?? chooseDriver(device, input.aliases, input.catalog, { policyAliases: [] }),
    group: toGroup(device, look),
    findings: sortFindings(input.findings.filter(isIt)).map((finding) => ({ ...finding, cure: cures[finding.code] })),
    unproven: look.setAside.filter(isIt),
    holders: input.inUse.holders.filter(isIt).map((holder) => holder.who),
    cure: code === null ? null : cures[code],
    transaction:
      look.plan.transactions.find((one) => one.members.some((member) => member.identity.address === address)) ?? null,
    ledger: input.ledger.entries.get(address) ?? null,
    assumptions: look.assumptions,
    unread: look.unread,
  };
}

const rehearsalName = 'rehearsal';

function rehearse(device: Device, input: PlanInput): Decision | null {
  const parsed = parsePolicy(
    {
      apiVersion,
      kind: policyKind,
      metadata: { name: rehearsalName },
      spec: { devices: [{ addresses: [device.address] }] },
    },
    rehearsalName,
  );
  if (!('policy' in parsed)) return null;
  const rehearsed = plan({ ...input, policies: { complete: false, policies: [parsed.policy], why: 'a rehearsal' } });
  const decision = rehearsed.decisions.find((one) => one.address === device.address);
  if (decision === undefined) return null;
  return { ...decision, policy: null, message: decision.message.replace(` for policy ${rehearsalName}`, '') };
}

function toGroup(device: Device, { input, plan: { decisions, dryRun } }: NodeLook): Explanation['group'] {
  if (device.iommuGroup === null) return null;
  const group = input.inventory.groups.get(device.iommuGroup);
  const members = (group?.members ?? [device.address]).map((address): GroupMember => {
    const member = input.inventory.devices.get(address);
    const decision = [...decisions, ...dryRun].find((one) => one.address === address);
    return {
      address,
      class: member?.classCode ?? null,
      driver: member?.driver ?? null,
      decision: decision?.kind ?? null,
    };
  });
  return { number: device.iommuGroup, members, directRegions: group?.directRegions ?? [] };
}

// The agent's state for a person: running or not, what it offers to kubelet, what it decided of each device.
import type { VfioNodeState } from '../api/generated/types.ts';
import type { DecisionKind } from '../domain/codes.ts';
import { toKindCell } from './render-decisions.ts';
import { renderTable, type Cell } from './render-table.ts';
import { joinSections, renderUnread } from './render-unread.ts';
import type { StatusAnswer } from './status-command.ts';
import type { Paint } from './terminal.ts';

/** What a running agent tells of itself beside its sentence; an agent of another version may leave parts out. */
interface AgentData {
  readonly decisions?: readonly DeviceLine[];
  readonly holders?: readonly { readonly address: string; readonly who: string }[];
  readonly resources?: readonly {
    readonly resource: string;
    readonly registered: boolean;
    readonly capacity: number;
    readonly healthy: number;
    readonly lastError?: string | null;
  }[];
}

interface DeviceLine {
  readonly address: string;
  readonly decision: DecisionKind;
  readonly code?: string | null;
  readonly policy?: string | null;
  readonly resource?: string | null;
  readonly driver?: string | null;
  readonly message?: string;
}

/** The whole answer of `status`; `now` in milliseconds since the epoch. */
export function renderStatus(answer: StatusAnswer, state: string, now: number, paint: Paint): string {
  const { agent, lastState, running, unread } = answer;
  if (agent !== null) {
    const data = (agent.data ?? {}) as AgentData;
    const word = agent.ok ? paint('good', 'running') : paint('bad', 'running, but not well');
    return joinSections([
      `The agent is ${word}: ${agent.message}.`,
      renderResources((data.resources ?? []).map(toResourceRow), paint),
      renderDeviceLines(data.decisions ?? [], paint),
      (data.holders ?? []).map(({ address, who }) => `In use: ${address}: ${who}`).join('\n'),
      renderUnread(unread, paint),
    ]);
  }
  const here = running === null ? 'Whether an agent runs cannot be told.' : `No agent runs with ${state}.`;
  if (lastState === null)
    return joinSections([
      `${here} ${unread.length > 0 ? '' : 'None has left its state there.'}`.trimEnd(),
      renderUnread(unread, paint),
    ]);
  const { path, writtenAt, document } = lastState;
  return joinSections([
    `${here} The last one wrote ${path} ${describeAge(now - Date.parse(writtenAt))} ago (${writtenAt}).`,
    renderNodeState(document, paint),
    renderUnread(unread, paint),
  ]);
}

function renderNodeState({ metadata, status }: VfioNodeState, paint: Paint): string {
  const conditions = (status?.conditions ?? []).map(
    (one) => `${one.type} ${one.status}: ${one.reason}: ${one.message}`,
  );
  const release = status?.kernel?.release;
  return joinSections([
    [`Node ${metadata.name}${release === undefined ? '' : `, kernel ${release}`}`, ...conditions].join('\n'),
    renderResources(
      (status?.resources ?? []).map(({ name, capacity, healthy, registered, message }) =>
        toResourceRow({ resource: name, capacity, healthy, registered, lastError: message ?? null }),
      ),
      paint,
    ),
    renderDeviceLines(status?.devices ?? [], paint),
  ]);
}

type ResourceLine = NonNullable<AgentData['resources']>[number];

function toResourceRow({ resource, capacity, healthy, registered, lastError }: ResourceLine): readonly Cell[] {
  return [
    resource,
    String(capacity),
    String(healthy),
    registered ? { text: 'yes', tone: 'good' } : { text: 'no', tone: 'warn' },
    lastError ?? '',
  ];
}

function renderResources(rows: readonly (readonly Cell[])[], paint: Paint): string {
  if (rows.length === 0) return 'No resource is offered to kubelet.';
  return renderTable(['RESOURCE', 'CAPACITY', 'HEALTHY', 'REGISTERED', 'LAST ERROR'], rows, paint);
}

function renderDeviceLines(devices: readonly DeviceLine[], paint: Paint): string {
  if (devices.length === 0) return 'No device is of interest.';
  return renderTable(
    ['DEVICE', 'DECISION', 'CODE', 'POLICY', 'DRIVER', 'RESOURCE', 'WHY'],
    devices.map((one): readonly Cell[] => [
      one.address,
      toKindCell(one.decision),
      one.code ?? '',
      one.policy ?? '',
      one.driver ?? '',
      one.resource ?? '',
      one.message ?? '',
    ]),
    paint,
  );
}

/** `3 minutes`, `2 days`: the largest unit of which there is more than one. */
export function describeAge(milliseconds: number): string {
  const units: readonly (readonly [number, string])[] = [
    [86_400_000, 'days'],
    [3_600_000, 'hours'],
    [60_000, 'minutes'],
  ];
  for (const [size, name] of units) if (milliseconds >= 2 * size) return `${Math.floor(milliseconds / size)} ${name}`;
  return `${Math.max(0, Math.round(milliseconds / 1000))} seconds`;
}

// The sweep of kills: one change of policies is made without a kill, which tells every record its journal writes and the state the machine
// ends in; then it is made again and again, the agent killed at each of those records and started anew, and each time the machine
// has to end in that same state: drivers, overrides, VF counts and autoprobe of every PCI function, and the ledger.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Guest } from '../lab/guest.ts';
import type { FileOperation } from '../lab/protocol.ts';
import type { AgentInGuest, AgentOptions } from './agent-in-guest.ts';
import { startAgentInGuest } from './agent-in-guest.ts';
import { readJournalInGuest } from './devices-in-guest.ts';
import type { TrapKeeper } from './trap-in-guest.ts';
import { openTraps } from './trap-in-guest.ts';

/** Milliseconds a wait lasts at most: a recovery takes half a minute on a machine that does much else. */
const patience = 240_000;

/** Records that are on disk before the agent goes on. What only notes how a write ended comes with the next of them. */
const durable = '"type":"(Begun|StepBegun|StepStuck|Committed|RolledBack|Quarantined|Noted)"';

/** What the machine is in: PCI functions with driver, override, VFs, autoprobe, one a line; then what the ledger has. */
export type MachineState = readonly string[];

/** A change of policies, and how to tell that the agent is through with it. */
export interface Change {
  readonly name: string;
  make(agent: AgentInGuest): Promise<void>;
  /** Resolves once the agent is through with the change; `since` is the log's length before it. */
  finished(agent: AgentInGuest, since: number): Promise<unknown>;
  /** What an agent that starts over it has to say first, where the machine's state alone does not show that it is through. */
  readonly again?: (agent: AgentInGuest) => Promise<unknown>;
  /** Shell command that prepares every run, e.g. to unload a module. */
  readonly before?: string;
}

/** Where the agent dies: at the record with this number, before or after the write that the record announces. */
export interface KillPoint {
  readonly number: number;
  readonly act: 'SIGKILL' | 'made';
}

/** A change as it goes without a kill. */
export interface Rehearsal {
  readonly change: Change;
  readonly end: MachineState;
  /** The records it writes, shortened for people. */
  readonly records: readonly string[];
  readonly points: readonly KillPoint[];
}

export interface KillSweep {
  readonly guest: Guest;
  /** The agent that runs now. */
  readonly agent: AgentInGuest;
  /** Kills so far, by the name of the change. */
  readonly kills: ReadonlyMap<string, number>;
  state(): Promise<MachineState>;
  /** Makes the change without a kill. */
  rehearse(change: Change): Promise<Rehearsal>;
  /** Makes it once more without a kill. */
  run(rehearsal: Rehearsal): Promise<void>;
  /** Makes it, kills the agent at `point`, starts the next one, and waits until the machine is as at the rehearsal's end. */
  killAt(rehearsal: Rehearsal, point: KillPoint): Promise<void>;
  /** Kills the agent at the next record that `pattern` matches after `make`, and after `meanwhile` starts the next one. */
  dieOnce(
    pattern: string,
    make: (agent: AgentInGuest) => Promise<void>,
    meanwhile?: () => Promise<unknown>,
  ): Promise<void>;
}

/** Starts an agent and the process that watches its journal. */
export async function openKillSweep(guest: Guest, options: AgentOptions = {}): Promise<KillSweep> {
  let agent = await startAgentInGuest(guest, options);
  const traps: TrapKeeper = await openTraps(guest, agent.state);
  await guest.run(`until [ -e ${agent.state}/journal ]; do sleep 0.1; done`);
  const kills = new Map<string, number>();
  const state = (): Promise<MachineState> => readMachine(guest);
  const inode = (): Promise<string> => guest.run(`ls -i ${agent.state}/journal`);

  /** Waits for exactly this state, with nothing left open in the journal. */
  const reach = async (wanted: MachineState, what: string): Promise<void> => {
    for (const deadline = Date.now() + patience; ; await sleep(200)) {
      const found = await state();
      if (found.join('\n') === wanted.join('\n')) return;
      if (Date.now() > deadline) expect(found, what).toEqual(wanted);
    }
  };

  const prepare = async ({ before }: Change): Promise<void> => {
    if (before !== undefined) await guest.run(before);
  };

  return {
    guest,
    get agent() {
      return agent;
    },
    kills,
    state,
    async rehearse(change) {
      await prepare(change);
      const since = agent.log().length;
      const trap = await traps.set(agent, 'SIGSTOP', 'no record says this');
      await change.make(agent);
      await change.finished(agent, since);
      const end = await settledState(state);
      const records = trap.records().filter((record) => new RegExp(durable).test(record));
      const points = records.flatMap((record, number): KillPoint[] => [
        { number, act: 'SIGKILL' },
        ...(record.includes('"type":"StepBegun"') ? [{ number, act: 'made' as const }] : []),
      ]);
      return { change, end, records: records.map((record) => shorten(record)), points };
    },
    async run({ change, end }) {
      await prepare(change);
      const since = agent.log().length;
      await change.make(agent);
      await change.finished(agent, since);
      await reach(end, change.name);
    },
    async killAt({ change, end, records }, { number, act }) {
      const where = `${change.name}, killed ${act === 'made' ? 'after the write of' : 'at'} ${records[number]}`;
      await prepare(change);
      const trap = await traps.set(agent, act, durable, number);
      await change.make(agent);
      await trap.sprung();
      expect((await agent.process.ended).signal, where).toBe('SIGKILL');
      kills.set(change.name, (kills.get(change.name) ?? 0) + 1);
      const before = await inode();
      agent = await startAgentInGuest(guest, options);
      for (const deadline = Date.now() + patience; (await inode()) === before; await sleep(100))
        if (Date.now() > deadline)
          throw new Error(`${where}: the next agent has not taken the journal over in ${patience} ms`);
      await change.again?.(agent);
      await reach(end, where);
    },
    async dieOnce(pattern, make, meanwhile) {
      const trap = await traps.set(agent, 'SIGKILL', pattern);
      await make(agent);
      await trap.sprung();
      await agent.process.ended;
      await meanwhile?.();
      agent = await startAgentInGuest(guest, options);
    },
  };
}

/** Two looks that agree. */
async function settledState(state: () => Promise<MachineState>): Promise<MachineState> {
  for (let last = await state(); ; await sleep(300)) {
    const now = await state();
    if (now.join('\n') === last.join('\n')) return now;
    last = now;
  }
}

async function readMachine(guest: Guest): Promise<MachineState> {
  const root = '/sys/bus/pci/devices';
  const [listed] = await guest.files([{ op: 'list', path: root }]);
  const addresses = listed?.ok === true && Array.isArray(listed.value) ? (listed.value as readonly string[]) : [];
  const attributes = ['driver_override', 'sriov_numvfs', 'sriov_drivers_autoprobe'] as const;
  const operations = addresses.flatMap((address): FileOperation[] => [
    { op: 'readLink', path: `${root}/${address}/driver` },
    ...attributes.map((name): FileOperation => ({ op: 'readText', path: `${root}/${address}/${name}` })),
  ]);
  const answers = await guest.files(operations);
  const words = answers.map((answer) =>
    answer.ok && typeof answer.value === 'string' ? answer.value.trim().replace(/^.*\//, '') : '-',
  );
  const perDevice = 1 + attributes.length;
  const devices = addresses.map((address, index) =>
    [address, ...words.slice(index * perDevice, (index + 1) * perDevice)].join(' '),
  );
  const { entries, open } = await readJournalInGuest(guest);
  const ledger = [...entries.values()].map(
    (entry) =>
      `ours: ${entry.address} from ${entry.originalDriver} ${entry.originalOverride} for ${entry.policy}, ${entry.state}`,
  );
  return [...devices, ...ledger.sort(), ...[...open.values()].map(({ transaction: { key } }) => `open: ${key}`)].sort();
}

function shorten(record: string): string {
  const { type, direction, step, transaction } = JSON.parse(record.slice(record.indexOf('{'))) as {
    readonly type: string;
    readonly direction?: string;
    readonly step?: { readonly kind: string; readonly address?: string; readonly module?: string };
    readonly transaction?: { readonly kind: string };
  };
  const words = [direction === 'Back' ? 'undo' : null, step?.kind, step?.address ?? step?.module, transaction?.kind];
  return [type, ...words].filter((word) => word !== null && word !== undefined).join(' ');
}

/**
 * Goes there and back again and again, until every chosen point of both ways has seen its kill; a way that has no more points is gone
 * without one. In the full tier (FULL_TIER=1) all points are chosen, else so many of each way. Tells how it went, a line a way.
 */
export async function sweep(
  kills: KillSweep,
  there: Change,
  back: Change,
  sample: { readonly there: number; readonly back: number },
): Promise<void> {
  const ways = [await kills.rehearse(there), await kills.rehearse(back)] as const;
  const chosen = [choosePoints(ways[0].points, sample.there), choosePoints(ways[1].points, sample.back)] as const;
  for (let round = 0; round < Math.max(chosen[0].length, chosen[1].length); round += 1) {
    for (const [at, way] of ways.entries()) {
      const point = chosen[at]?.[round];
      await (point === undefined ? kills.run(way) : kills.killAt(way, point));
    }
  }
  for (const [at, { change, records }] of ways.entries()) {
    const points = `${chosen[at]?.length ?? 0} of ${ways[at]?.points.length ?? 0} kill points`;
    process.stderr.write(
      `${kills.guest.release}, ${change.name}: ${records.length} records, ${points}: all as without a kill\n`,
    );
  }
}

/** All points in the full tier (FULL_TIER=1); else `count` of them from the first to the last. */
function choosePoints(points: readonly KillPoint[], count: number): readonly KillPoint[] {
  if (process.env['FULL_TIER'] === '1' || points.length <= count) return points;
  if (count < 2) return points.slice(0, count);
  const chosen = Array.from({ length: count }, (_, index) => Math.round((index * (points.length - 1)) / (count - 1)));
  return chosen.flatMap((at) => points[at] ?? []);
}

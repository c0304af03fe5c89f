// Acts on the agent at the moment its journal announces something: how tests end it, or make it pause, between two kernel writes.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Guest } from '../lab/guest.ts';
import { LabError } from '../lab/lab-error.ts';
import type { AgentInGuest } from './agent-in-guest.ts';
import type { TrapAct, TrapLine, TrapRequest } from './journal-trap.ts';

/** A trap that is set. */
export interface Trap {
  /** Resolves when the record has come and the deed is done: that record, and what the kernel said to a write that was made. */
  sprung(): Promise<{ readonly record: string; readonly answer: string | null }>;
  /** Records of the journal that have come since it was set. */
  records(): readonly string[];
}

/** The process in the guest that watches a journal; it serves one trap after the other. */
export interface TrapKeeper {
  /** Sets a trap for the record after `skip` others that `pattern`, a regular expression, matches; resolves once it watches. */
  set(agent: AgentInGuest, act: TrapAct, pattern: string, skip?: number): Promise<Trap>;
  close(): Promise<void>;
}

/** Starts it for the journal in `state`; that journal exists or comes. */
export async function openTraps(guest: Guest, state = '/var/lib/vfio-operator'): Promise<TrapKeeper> {
  const script = fileURLToPath(new URL('journal-trap.ts', import.meta.url));
  const wait = `until [ -e ${state}/journal ]; do sleep 0.1; done`;
  const keeper = await guest.spawn(`${wait}; exec chrt --fifo 50 node ${script} ${state}/journal`);
  let set = 0;
  const linesOf = (id: number): readonly TrapLine[] => {
    const text = keeper.stdout();
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line.startsWith(`{"id":${id},`))
      .map((line) => JSON.parse(line) as TrapLine);
  };
  const wanted = async <Line extends TrapLine>(
    id: number,
    what: string,
    is: (line: TrapLine) => line is Line,
  ): Promise<Line> => {
    for (const deadline = Date.now() + 120_000; ; await sleep(20)) {
      const found = linesOf(id).find(is);
      if (found !== undefined) return found;
      if (Date.now() > deadline)
        throw new LabError(`The trap was not ${what} in 120 s.`, {
          detail: `${linesOf(id).length} records since.\n${keeper.stderr()}`,
        });
    }
  };
  return {
    async set(agent, act, pattern, skip = 0) {
      const id = (set += 1);
      const request: TrapRequest = { id, pid: agent.process.pid, act, pattern, skip };
      await keeper.input(`${JSON.stringify(request)}\n`);
      await wanted(id, 'armed', (line): line is Extract<TrapLine, { armed: true }> => 'armed' in line);
      return {
        async sprung() {
          const is = (line: TrapLine): line is Extract<TrapLine, { sprung: string }> => 'sprung' in line;
          const { sprung, answer } = await wanted(id, `sprung (${pattern})`, is);
          return { record: sprung, answer };
        },
        records: () => linesOf(id).flatMap((line) => ('record' in line ? [line.record] : [])),
      };
    },
    async close() {
      await keeper.input(null);
      await keeper.ended;
    },
  };
}

/** One trap with a keeper of its own. */
export async function setTrap(guest: Guest, agent: AgentInGuest, act: TrapAct, pattern: string): Promise<Trap> {
  const keeper = await openTraps(guest, agent.state);
  const trap = await keeper.set(agent, act, pattern);
  return {
    ...trap,
    async sprung() {
      const sprung = await trap.sprung();
      await keeper.close();
      return sprung;
    },
  };
}

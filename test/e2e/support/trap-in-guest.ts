// Signals the agent at the moment its journal announces something: how tests end it, or make it pause, between two kernel writes.
import { fileURLToPath } from 'node:url';
import type { Guest } from '../lab/guest.ts';
import type { AgentInGuest } from './agent-in-guest.ts';

export interface Trap {
  /** Resolves when the record has come and the signal is sent. */
  sprung(): Promise<void>;
}

/** Sets a trap for the next record that `pattern`, a regular expression, matches; resolves once it watches. */
export async function setTrap(
  guest: Guest,
  agent: AgentInGuest,
  signal: 'SIGKILL' | 'SIGSTOP',
  pattern: string,
): Promise<Trap> {
  const script = fileURLToPath(new URL('journal-trap.ts', import.meta.url));
  const words = [`${agent.state}/journal`, String(agent.process.pid), signal, pattern];
  const wait = `until [ -e ${agent.state}/journal ]; do sleep 0.1; done`;
  const trap = await guest.spawn(
    `${wait}; exec chrt --fifo 50 node ${script} ${words.map((word) => `'${word}'`).join(' ')}`,
  );
  await trap.waitFor('armed');
  return {
    async sprung() {
      await trap.waitFor('sprung ');
      await trap.ended;
    },
  };
}

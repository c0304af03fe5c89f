// Says what histories held, in words.
import { eventKinds } from './event.ts';
import type { Tally } from './tally.ts';

const averages = ['events', 'devices', 'groups', 'policies', 'lives', 'passes', 'kernelWrites'];

/** One line per group of figures. */
export function tellTally(tally: Tally, histories: number): readonly string[] {
  const each = averages.map((kind) => `${(tally.get(kind) / histories).toFixed(1)} ${kind}`).join(', ');
  const events = Object.keys(eventKinds).map((kind) => `${kind} ${tally.get(`event ${kind}`)}`);
  const rest = [...tally.counts].filter(([kind]) => !kind.startsWith('event ') && !averages.includes(kind));
  return [
    `each held on average: ${each}, ${(crashes(tally) / histories).toFixed(1)} crashes`,
    `what happened: ${events.join(', ')}`,
    `what came of it: ${rest.map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
  ];
}

/** Deaths of the agent by SIGKILL, power or reboot. */
export function crashes(tally: Tally): number {
  return ['kill', 'powerCut', 'reboot', 'rebootWithoutJournal'].reduce(
    (sum, kind) => sum + tally.get(`event ${kind}`),
    0,
  );
}

/** Kinds of events of which there was not one. */
export function missingKinds(tally: Tally): readonly string[] {
  return Object.keys(eventKinds).filter((kind) => tally.get(`event ${kind}`) === 0);
}

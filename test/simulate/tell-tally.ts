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
function crashes(tally: Tally): number {
  return ['kill', 'powerCut', 'reboot', 'rebootWithoutJournal'].reduce(
    (sum, kind) => sum + tally.get(`event ${kind}`),
    0,
  );
}

/** What must have come of the events in a large run: a fault that never bites is none. */
const outcomes = [
  'histories with files',
  'histories in a cluster',
  'stuckWrites',
  'failedWrites',
  'failedModprobes',
  'lying modprobes',
  'failedStarts',
  'ENOSPC answers',
  'EROFS answers',
  'proofs not to be read',
  'group numbers recycled',
  'podsAdmitted',
  'podsRefused',
  'containersStarted',
  'startsRefused',
  'devicesOpened',
  'stale ids refused',
];

const floors = { events: 100, devices: 8, groups: 4, policies: 2 } as const;

/** Figures of the average history that are too low. */
export function belowFloors(tally: Tally, histories: number): readonly string[] {
  const low = Object.entries(floors).filter(([kind, floor]) => tally.get(kind) < floor * histories);
  return [
    ...low.map(([kind, floor]) => `${kind} (under ${floor})`),
    ...(crashes(tally) < histories ? ['crashes'] : []),
  ];
}

/** Kinds of events and of what may come of them of which there was not one. */
export function missingKinds(tally: Tally): readonly string[] {
  const events = Object.keys(eventKinds).filter((kind) => tally.get(`event ${kind}`) === 0);
  return [...events, ...outcomes.filter((kind) => tally.get(kind) === 0)];
}

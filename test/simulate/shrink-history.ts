// Makes a failing history as short as it can be: drops stretches of events while it still fails, ever shorter ones, in the end single
// events. What remains is what it takes.
import type { SimulatedEvent } from './event.ts';

/** Shrinks; `fails` runs a candidate. At most `tries` candidates are run. */
export async function shrinkHistory(
  events: readonly SimulatedEvent[],
  fails: (events: readonly SimulatedEvent[]) => Promise<boolean>,
  tries = 150,
): Promise<readonly SimulatedEvent[]> {
  let shortest = events;
  let left = tries;
  for (let stretch = Math.ceil(events.length / 2); stretch >= 1 && left > 0; stretch = Math.floor(stretch / 2)) {
    let from = Math.max(0, shortest.length - stretch);
    while (left > 0) {
      const candidate = [...shortest.slice(0, from), ...shortest.slice(from + stretch)];
      left -= 1;
      if (await fails(candidate)) shortest = candidate;
      if (from === 0) break;
      from = Math.max(0, from - stretch);
    }
  }
  return shortest;
}

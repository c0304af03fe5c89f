// Nothing tells when a pod ends: PodResources has no watch. While a pod owns a group whose functions are units of their own, nobody else
// gets any of them, so its end is asked for more often than passes come. Without such a group nothing is asked.
import type { Clock, Timer } from '../runtime/ports.ts';

/** Milliseconds between two questions. */
const interval = 5_000;

export interface GroupWatchParts {
  readonly clock: Clock;
  /** Groups that pods own now. */
  readonly held: () => readonly number[];
  /** Takes what kubelet says of pods over; resolves to whether a pod of these groups is gone. */
  readonly ask: (groups: readonly number[]) => Promise<boolean>;
  /** A pod is gone: what it had may still be open, which only a look at the host shows. */
  readonly gone: () => void;
}

/** Asks until it is closed, which resolves when no question is under way any more. */
export function watchGroups({ clock, held, ask, gone }: GroupWatchParts): { close(): Promise<void> } {
  let closed = false;
  let timer: Timer | null = null;
  let looking: Promise<void> = Promise.resolve();
  const wait = (): void => void (timer = clock.after(interval, () => void (looking = look())));
  const look = async (): Promise<void> => {
    const groups = held();
    // What cannot be written now is tried again, and the next pass says so.
    if (groups.length > 0 && (await ask(groups).catch(() => false)) && !closed) gone();
    if (!closed) wait();
  };
  wait();
  return {
    close() {
      closed = true;
      timer?.cancel();
      return looking;
    },
  };
}

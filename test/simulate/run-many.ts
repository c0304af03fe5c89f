// Lives many histories in several processes: each gets the next few seeds when it is done with the last. Stops at the first that fails.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Stretch, StretchResult } from './history-worker.ts';
import { createTally } from './tally.ts';
import type { Tally } from './tally.ts';

/** What to live. */
export interface ManyHistories {
  readonly from: number;
  /** At least so many. */
  readonly histories: number;
  readonly jobs: number;
  readonly mutant?: string | null;
  /** Hears now and then up to which seed all held. */
  readonly onProgress?: (next: number) => void;
  /** Goes on past that number until so many milliseconds are over. */
  readonly fill?: number;
}

/** What came of it. */
export interface ManyResult {
  /** Histories that held. */
  readonly held: number;
  /** All before this seed held. */
  readonly next: number;
  readonly tally: Tally;
  /** The first that did not. */
  readonly violated: { readonly seed: number; readonly problems: readonly string[] } | null;
  readonly milliseconds: number;
}

const stretch = 10;

/** Lives them. Rejects when a process of it dies. */
export async function runMany(options: ManyHistories): Promise<ManyResult> {
  const { from, histories, jobs, mutant = null, onProgress, fill = 0 } = options;
  const begun = performance.now();
  const tally = createTally();
  const under = new Set<number>();
  let seed = from;
  let held = 0;
  const violations: NonNullable<ManyResult['violated']>[] = [];
  const next = (): number => Math.min(seed, ...under);

  const work = async (child: ChildProcess): Promise<void> => {
    while (violations.length === 0 && (seed < from + histories || performance.now() - begun < fill)) {
      const left = from + histories - seed;
      const mine: Stretch = { from: seed, count: left > 0 ? Math.min(stretch, left) : stretch, mutant };
      seed += mine.count;
      under.add(mine.from);
      const result = await ask(child, mine);
      for (const [kind, count] of result.counts) tally.add(kind, count);
      held += result.held;
      if (result.violated === null) under.delete(mine.from);
      else violations.push(result.violated);
      onProgress?.(next());
    }
  };
  const children = Array.from({ length: jobs }, () =>
    // Objects die young here: fewer collections of a larger nursery.
    fork(new URL('./history-worker.ts', import.meta.url), { execArgv: ['--max-semi-space-size=32'] }),
  );
  try {
    await Promise.all(children.map(work));
  } finally {
    for (const child of children) child.kill();
  }
  const violated = violations.toSorted((a, b) => a.seed - b.seed)[0] ?? null;
  return { held, next: next(), tally, violated, milliseconds: performance.now() - begun };
}

function ask(child: ChildProcess, stretch: Stretch): Promise<StretchResult> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null): void => reject(new Error(`a process of histories ended with ${String(code)}`));
    child.once('exit', died);
    child.once('message', (result) => {
      child.off('exit', died);
      resolve(result as StretchResult);
    });
    child.send(stretch);
  });
}

// A chapter of the demo as data: what is said, what is shown, and what was checked against the simulated kernel and kubelet. Printing
// it is the narrator's business.
import type { Paint } from '../cli/terminal.ts';
import type { DemoStage } from './demo-stage.ts';

/** All chapters, in the order they are told. */
export const chapterNames = [
  'Inventory',
  'Policies',
  'Plan',
  'Transactions',
  'Register',
  'Allocate',
  'KubeletRestart',
  'Unplug',
  'PoliciesRemoved',
  'AsItWas',
] as const;
export type ChapterName = (typeof chapterNames)[number];

/** Something that was looked up in the kernel or kubelet: what the story claims, and what was seen. */
export interface Check {
  readonly claim: string;
  readonly holds: boolean;
  /** What was seen, for when it does not hold. */
  readonly seen: string;
}

/** A paragraph to read, or lines to look at as they are. */
export type Part = { readonly says: string } | { readonly shows: string };

export interface Chapter {
  readonly name: ChapterName;
  readonly title: string;
  readonly parts: readonly Part[];
  readonly checks: readonly Check[];
}

/** What every chapter is told with. */
export interface Telling {
  readonly stage: DemoStage;
  readonly paint: Paint;
}

/** Compares what was seen with what the story claims: plain data, equal when its JSON is. */
export function check(claim: string, seen: unknown, expected: unknown): Check {
  const text = JSON.stringify(seen) ?? 'nothing';
  return { claim, holds: text === JSON.stringify(expected), seen: text };
}

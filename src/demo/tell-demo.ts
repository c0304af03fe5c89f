// The story with its frame: what this is, and what to try next.
import { renderTable } from '../cli/render-table.ts';
import type { DemoStage } from './demo-stage.ts';
import type { Narrator } from './narrator.ts';
import { tellStory } from './tell-story.ts';
import type { StoryOutcome } from './tell-story.ts';

const next: readonly (readonly [command: string, what: string])[] = [
  ['npm run -s vfio -- devices', 'what this machine has'],
  ['npm run -s vfio -- plan --policies examples', 'what the agent would do with it'],
  ['npm run -s vfio -- explain ADDRESS --policies examples', 'all about one device'],
  ['npm test', 'all tests that need no root'],
];

/** Tells all of it. */
export async function tellDemo(stage: DemoStage, narrator: Narrator): Promise<StoryOutcome> {
  const { paint } = narrator;
  await narrator.show(paint('bold', 'vfio-operator: a node end to end, simulated'));
  await narrator.say(
    "The agent's real code runs here, on a simulated kernel and beside a simulated kubelet, all in the memory of this process. Nothing " +
      'on your machine is read or changed. Lines that begin with "ok" were looked up in the simulated kernel or kubelet after it happened.',
  );
  const outcome = await tellStory(stage, narrator);
  if (outcome.failure !== null) return outcome;
  const checks = outcome.chapters.reduce((sum, chapter) => sum + chapter.checks.length, 0);
  await narrator.say(`That was it: ${checks} of ${checks} things happened as told. What to try next, on this machine:`);
  await narrator.show(
    renderTable(
      ['', ''],
      next.map(([command, what]) => [{ text: command, tone: 'bold' }, what]),
      paint,
    ).replace(/^.*\n/, ''),
  );
  await narrator.say(
    'The first three only read, need no root, and also work where there is no IOMMU. README.md says how to go on from there.',
  );
  return outcome;
}

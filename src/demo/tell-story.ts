// The whole story from the first look to the last, in order. Each chapter happens on the node before it is told; the first one that did
// not happen as told ends the story.
import type { Agent } from '../agent/start-agent.ts';
import type { Chapter, Telling } from './chapter.ts';
import { carryOut } from './chapters/carry-out.ts';
import { giveBack } from './chapters/give-back.ts';
import { pullDrive } from './chapters/pull-drive.ts';
import { removePolicies } from './chapters/remove-policies.ts';
import { restartKubelet } from './chapters/restart-kubelet.ts';
import { runPod } from './chapters/run-pod.ts';
import { showInventory } from './chapters/show-inventory.ts';
import { showPlan } from './chapters/show-plan.ts';
import { showPolicies } from './chapters/show-policies.ts';
import { showRegistration } from './chapters/show-registration.ts';
import type { DemoStage } from './demo-stage.ts';
import type { Narrator } from './narrator.ts';

/** What came of it. */
export interface StoryOutcome {
  /** The chapters told, the last one perhaps with a check that does not hold. */
  readonly chapters: readonly Chapter[];
  /** Why it did not happen as told; null: it did. */
  readonly failure: string | null;
}

/** A check that does not hold. */
class NotAsTold extends Error {
  override readonly name = 'NotAsTold';
}

/** Tells it. Rejects for nothing that the node does. */
export async function tellStory(stage: DemoStage, narrator: Narrator): Promise<StoryOutcome> {
  const chapters: Chapter[] = [];
  const telling: Telling = { stage, paint: narrator.paint };
  const tell = async (chapter: Chapter): Promise<void> => {
    chapters.push(chapter);
    await narrator.tell(chapter);
    const broken = chapter.checks.filter(({ holds }) => !holds);
    if (broken.length > 0) throw new NotAsTold(broken.map(({ claim }) => `not so: ${claim}`).join('; '));
  };
  let agent: Agent | null = null;
  try {
    const before = { snapshot: stage.control.snapshot(), modules: stage.files.list(stage.paths.modules) };
    await stage.when(stage.kubelet.start());
    await tell(await showInventory(telling));
    await tell(await showPolicies(telling));
    const { chapter: planChapter, planned } = await showPlan(telling);
    await tell(planChapter);
    const applied = await carryOut(telling, planned);
    ({ agent } = applied);
    await tell(applied.chapter);
    await tell(await showRegistration(telling));
    const { chapter: podChapter, machine } = await runPod(telling);
    await tell(podChapter);
    await tell(await restartKubelet(telling));
    await tell(await pullDrive(telling));
    await tell(await removePolicies(telling, agent));
    await tell(await giveBack(telling, agent, machine, before));
    return { chapters, failure: null };
  } catch (error) {
    const problem = agent?.problem ?? null;
    const why = error instanceof NotAsTold ? error.message : `it broke off: ${String(error)}`;
    return { chapters, failure: problem === null ? why : `${why} (the agent says: ${problem})` };
  }
}

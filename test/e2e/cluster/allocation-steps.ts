// What scenarios of allocation do again and again: pods that hold all they got, what is said of them, and pods that have to be admitted
// together.

import { expect } from 'vitest';
import type { ClusterSteps } from './cluster-steps.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { createPods, parseHeldAll, wordsOf } from './pods-on-node.ts';
import type { HeldAll, PodWish } from './pods-on-node.ts';
import type { ToldKubelet } from './told-kubelet.ts';

export interface AllocationSteps {
  /** What the container of a pod of `HOLD_ALL` has said in that life of it; kubelet keeps the last two. */
  heldAll(pod: string, life?: number): Promise<HeldAll>;
  /** Waits until its container holds its devices in that life. */
  waitForLife(pod: string, life?: number): Promise<HeldAll>;
  /** Waits until an event or the status of the pod says so. */
  waitForWords(pod: string, words: string): Promise<readonly string[]>;
  /** The IOMMU group of a device. */
  groupOf(address: string): Promise<string>;
  /**
   * Creates pods that want functions of one group, and waits until one of them holds what it got; returns its name and that. Where the node was
   * so slow that kubelet's Allocates were further apart than the agent allows, the later one must have been refused, and all are made anew
   * once `again` resolves; so they are where a pod that is gone still counted.
   */
  createTogether(
    again: () => Promise<void>,
    ...wishes: readonly PodWish[]
  ): Promise<{ readonly name: string; readonly held: HeldAll }>;
}

export function allocationStepsOn(
  { cluster, node }: OperatorOnNode,
  steps: ClusterSteps,
  kubelet: ToldKubelet,
): AllocationSteps {
  const heldAll: AllocationSteps['heldAll'] = async (pod, life = 1) => {
    const file = `/var/log/pods/default_${pod}_*/main/${life - 1}.log`;
    return parseHeldAll(await node.guest.run(`cat ${file} 2>/dev/null | cut -d ' ' -f 4- || true`));
  };
  return {
    heldAll,
    waitForLife: (pod, life = 1) =>
      steps.wait(
        `pod ${pod} holding its devices in life ${life}`,
        () => heldAll(pod, life),
        ({ holds }) => holds,
      ),
    waitForWords: (pod, words) =>
      steps.wait(
        `"${words}" said of pod ${pod}`,
        () => wordsOf(cluster, pod),
        (said) => said.some((one) => one.includes(words)),
      ),
    groupOf: async (address) => (await steps.readNamed([address]))[address]?.group ?? 'none',
    createTogether: async (again, ...wishes) => {
      const names = wishes.map(({ name }) => name);
      const look = (): Promise<readonly PodNow[]> =>
        Promise.all(names.map(async (name) => ({ name, ...(await steps.lifeOf(name)), held: await heldAll(name) })));
      for (let attempt = 1; ; attempt++) {
        const mark = await kubelet.mark();
        await createPods(cluster, ...wishes);
        const allocations = async (): Promise<readonly number[]> =>
          (await kubelet.since(mark)).filter(({ what }) => what === 'allocating').map(({ at }) => at);
        // One that runs says nothing of the others before kubelet has asked for theirs.
        const { all } = await steps.wait(
          'one of the pods running and all asked for, or one failed',
          async () => ({ all: await look(), asked: (await allocations()).length }),
          ({ all, asked }) =>
            all.some(({ phase }) => phase === 'Failed') ||
            (asked >= wishes.length && all.some(({ held }) => held.holds)),
        );
        const failed = all.filter(({ phase }) => phase === 'Failed');
        const winner = all.find(({ held }) => held.holds);
        if (failed.length === 0 && winner !== undefined) return winner;
        const times = await allocations();
        const apart = Math.max(...times) - Math.min(...times);
        process.stderr.write(`attempt ${attempt}: kubelet's Allocates were ${Math.round(apart)} ms apart\n`);
        const said = await Promise.all(failed.map(async ({ name }) => (await wordsOf(cluster, name)).join('\n')));
        for (const words of said) expect(words).toMatch(/a group belongs to one pod|no healthy devices/);
        const owners = said.map((words) => / of pod default\/([\w-]+)/.exec(words)?.[1]);
        const late = owners.some((owner) => owner !== undefined && !names.includes(owner));
        // Where kubelet had been told of the withdrawal it did not ask.
        const isTold = said.some((words) => words.includes('no healthy devices'));
        if (!late && !isTold) expect(apart).toBeGreaterThan(2_000);
        expect(attempt).toBeLessThan(6);
        for (const name of names) await steps.deletePod(name);
        await again();
      }
    },
  };
}

interface PodNow {
  readonly name: string;
  readonly phase: string;
  readonly held: HeldAll;
}

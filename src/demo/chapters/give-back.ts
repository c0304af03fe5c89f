// The virtual machine ends; the rest goes back, and the node is as it was before the agent came.
import type { Agent } from '../../agent/start-agent.ts';
import type { KernelSnapshot } from '../../simulation/kernel/control.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { kubeletCounts } from '../kubelet-view.ts';
import { renderTransactions, toldTransactions } from '../told-transactions.ts';
import { pod } from './run-pod.ts';

/** How the node was before. */
export interface NodeBefore {
  readonly snapshot: KernelSnapshot;
  readonly modules: readonly string[];
}

/** Ends the pod, waits until nothing is ours, stops the agent, and compares with `before`. */
export async function giveBack(
  { stage, paint }: Telling,
  agent: Agent,
  machine: { close(): void },
  before: NodeBefore,
): Promise<Chapter> {
  const { control, kubelet, record, files, paths } = stage;
  const mark = record.happenings.length;
  machine.close();
  await stage.when(kubelet.deletePod(pod.namespace, pod.name));
  await stage.until(() => agent.report?.plan.decisions.length === 0, 60_000);
  const happenings = record.since(mark);
  const counts = kubeletCounts(kubelet);
  await stage.when(agent.stop());
  const loaded = files.list(paths.modules).filter((name) => !before.modules.includes(name));
  const now = control.snapshot();
  return {
    name: 'AsItWas',
    title: 'The virtual machine ends, and everything is as it was',
    parts: [
      { says: 'The pod is gone and its process has closed the devices. Now they go back too, and the agent stops.' },
      { shows: renderTransactions(toldTransactions(happenings), paint) },
      {
        says:
          `Only kernel modules stay loaded that were not before (${loaded.toSorted().join(', ')}): without a device they do ` +
          'nothing, and unloading them is not ours to decide.',
      },
    ],
    checks: [
      check(
        'every device has the driver it had, and no driver_override',
        [now.drivers, now.overrides],
        [before.snapshot.drivers, before.snapshot.overrides],
      ),
      check(
        'the virtual functions are gone, and groups and settings are as they were',
        [now.groups, now.virtualFunctions, now.autoprobe],
        [before.snapshot.groups, before.snapshot.virtualFunctions, before.snapshot.autoprobe],
      ),
      check(
        'kubelet counts none of it any more',
        counts.filter(({ capacity, allocatable }) => capacity + allocatable > 0),
        [],
      ),
      check('no mount, route or swap was lost, and the kernel has seen no bug', control.damage, []),
    ],
  };
}

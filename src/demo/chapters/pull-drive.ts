// Somebody pulls the spare drive out of the running node, and puts it back.
import { renderTable } from '../../cli/render-table.ts';
import { devicePlugin } from '../../kubelet/contracts.ts';
import type { ListAndWatchResponse } from '../../kubelet/messages.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { resources } from '../demo-policies.ts';
import { healthyIds, kubeletCounts } from '../kubelet-view.ts';
import { heard } from '../tap-grpc.ts';
import type { HeardMessage } from '../tap-grpc.ts';
import { renderTransactions, toldTransactions } from '../told-transactions.ts';

const { nvme } = resources;
const { spareDisk } = demoAddresses;

/** Pulls it, waits until kubelet knows, plugs it, waits again. */
export async function pullDrive({ stage, paint }: Telling): Promise<Chapter> {
  const { control, kubelet, record, clock } = stage;
  const others = (): unknown => kubeletCounts(kubelet).filter(({ resource }) => resource !== nvme);
  const countOf = (): unknown => kubelet.resources().get(nvme);
  const before = others();

  const pulledAt = clock.monotonic();
  const mark = record.happenings.length;
  control.unplug(spareDisk);
  const told = await stage.until(() => healthyIds(record.happenings, kubelet, nvme).length === 0, 30_000);
  const message = heard(record.since(mark), devicePlugin.listAndWatch).at(-1);
  const without = countOf();
  const gone = control.snapshot().drivers[spareDisk] === undefined;

  const pluggedAt = clock.monotonic();
  const second = record.happenings.length;
  control.plug(spareDisk);
  const back = await stage.until(() => healthyIds(record.happenings, kubelet, nvme).length === 1, 60_000);
  const happenings = record.since(second);
  const again = heard(happenings, devicePlugin.listAndWatch).at(-1);
  return {
    name: 'Unplug',
    title: 'A drive is pulled out',
    parts: [
      {
        says:
          `Somebody pulls the NVMe drive ${spareDisk} out of the running node. A device that is not there must not be given to a ` +
          'pod, so kubelet is told that it is unhealthy. Put back in, it comes up on its ordinary driver, and is taken again.',
      },
      {
        shows: renderTable(
          ['', 'KUBELET IS TOLD', 'AFTER (SIMULATED TIME)'],
          [
            ['pulled', describeList(message), describeDelay(message, pulledAt)],
            ['put back', describeList(again), describeDelay(again, pluggedAt)],
          ],
          paint,
        ),
      },
      { shows: renderTransactions(toldTransactions(happenings), paint) },
    ],
    checks: [
      check(
        'while it was out, kubelet counted none of it as allocatable',
        [gone, told, without],
        [true, true, { capacity: 1, allocatable: 0 }],
      ),
      check(
        'it is back on vfio-pci and healthy',
        [back, control.snapshot().drivers[spareDisk], countOf()],
        [true, 'vfio-pci', { capacity: 1, allocatable: 1 }],
      ),
      check('nothing else changed for kubelet', others(), before),
    ],
  };
}

function describeList(message: HeardMessage<unknown, ListAndWatchResponse> | undefined): string {
  if (message === undefined) return 'nothing';
  return message.response.devices.map(({ id, health }) => `${id} ${health}`).join(', ') || 'an empty list';
}

function describeDelay(message: { readonly at: number } | undefined, since: number): string {
  return message === undefined ? '' : `${Math.round(message.at - since)} ms`;
}

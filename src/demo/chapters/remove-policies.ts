// The policy files are deleted: what is free goes back at once, what the virtual machine uses waits.
import type { Agent } from '../../agent/start-agent.ts';
import { toKindCell } from '../../cli/render-decisions.ts';
import { renderTable } from '../../cli/render-table.ts';
import { demoAddresses } from '../../simulation/nodes/demo-node.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { policyDirectory, resources } from '../demo-policies.ts';
import { kubeletCounts } from '../kubelet-view.ts';
import { wrap } from '../narrator.ts';
import { addressOf, renderTransactions, toldTransactions } from '../told-transactions.ts';

const at = demoAddresses;

/** Deletes the files and waits until only what is held is left. */
export async function removePolicies({ stage, paint }: Telling, agent: Agent): Promise<Chapter> {
  const { files, control, kubelet, record } = stage;
  const mark = record.happenings.length;
  for (const name of files.list(policyDirectory)) await files.remove(`${policyDirectory}/${name}`);
  const decisions = () => agent.report?.plan.decisions ?? [];
  await stage.until(() => decisions().length > 0 && decisions().every(({ kind }) => kind === 'Held'), 60_000);
  // Long enough for a second and a third thought.
  await stage.clock.advance(30_000);
  const happenings = record.since(mark);
  const writes = happenings.filter((one) => one.kind === 'Write');
  const held = decisions().filter(({ kind }) => kind === 'Held');
  const gpu = held.find(({ address }) => address === at.gpu);
  const { drivers } = control.snapshot();
  const heldAddresses = [at.gpu, at.gpuAudio, at.connectX, ...at.connectXVirtualFunctions].toSorted();
  return {
    name: 'PoliciesRemoved',
    title: 'The policies are deleted',
    parts: [
      {
        says: 'No policy wants the devices any more, so each goes back to the driver it came from. What is free goes at once:',
      },
      { shows: renderTransactions(toldTransactions(happenings), paint) },
      {
        says:
          'What the virtual machine uses waits: taking the driver away from a device in use would block inside the kernel without ' +
          'end. Virtual functions go together with their card, so they wait for the one in use.',
      },
      {
        shows: renderTable(
          ['DEVICE', 'DECISION', 'WHY', 'DRIVER'],
          held.map(({ address, kind, code, driverNow }) => [address, toKindCell(kind), code ?? '', driverNow ?? '']),
          paint,
        ),
      },
      ...(gpu === undefined ? [] : [{ shows: wrap(gpu.message, 88) }]),
      {
        shows: renderTable(
          ['RESOURCE', 'CAPACITY', 'ALLOCATABLE'],
          kubeletCounts(kubelet).map(({ resource, capacity, allocatable }) => [
            resource,
            String(capacity),
            String(allocatable),
          ]),
          paint,
        ),
      },
    ],
    checks: [
      check(
        'the spare drive and the spare card are back on their drivers',
        [drivers[at.spareDisk], drivers[at.spareNic]],
        ['nvme', 'e1000e'],
      ),
      check(
        'the GPU and the network functions wait, held by a pod',
        [held.map(({ address }) => address).toSorted(), [...new Set(held.map(({ code }) => code))]],
        [heldAddresses, ['HeldByPod']],
      ),
      check(
        'nothing was written to what is held',
        writes.filter((one) => heldAddresses.some((address) => addressOf(one) === address)),
        [],
      ),
      check(
        'nobody else can get them',
        [resources.gpu, resources.connectX].map((resource) => kubelet.resources().get(resource)?.allocatable),
        [0, 0],
      ),
      check('no kernel call hangs', control.sleeping, 0),
    ],
  };
}

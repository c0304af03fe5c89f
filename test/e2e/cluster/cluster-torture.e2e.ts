// Whatever happens between kubelet and the agent, kubelet is told what is true afterwards, by kubelet's own word, and a pod that holds a
// device keeps it: kubelet restarted, sockets and directories taken away, streams cut, the agent killed between and during calls. Five
// rounds and two plain restarts of kubelet in CI; a hundred and twenty in the full tier. Prints a table of the times to be back.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressesOf, kernelComplaints, onVfio } from '../support/devices-in-guest.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import type { ControlPlane } from './control-plane.ts';
import { doFault, faultNames } from './faults-on-node.ts';
import type { Fault, FaultName } from './faults-on-node.ts';
import type { Node } from './node.ts';
import { startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy } from './operator.ts';
import { createPods, HOLD_ALL, parseHeldAll } from './pods-on-node.ts';
import { makeKubeletTell, openToldKubelet } from './told-kubelet.ts';
import { createTimes } from './times-table.ts';
import type { KubeletNote, ToldKubelet, Units } from './told-kubelet.ts';

const full = process.env['FULL_TIER'] === '1';
/** Fewer, or more, by hand. */
const rounds = Number(process.env['VFIO_E2E_ROUNDS'] ?? (full ? 100 : 5));
const NIC = 'vfio-operator.dev/nic';
const PAIR = 'vfio-operator.dev/pair';
const resources = [NIC, PAIR];
const agentEnds: ReadonlySet<FaultName> = new Set([
  'plugin directory replaced',
  'agent killed during a call',
  'agent killed',
]);

let operator: OperatorOnNode;
let cluster: ControlPlane;
let node: Node;
let steps: ClusterSteps;
let kubelet: ToldKubelet;
let at: Readonly<Record<'nic' | 'hot' | 'pair0' | 'pair1', string>>;
let expected: Units;
const times = createTimes();
const outcomes: string[] = [];

beforeAll(async () => {
  operator = await startOperatorOnNode({ topology: 'small', beforeKubelet: makeKubeletTell });
  ({ cluster, node } = operator);
  steps = stepsOn(operator);
  kubelet = await openToldKubelet(node);
  at = await addressesOf(node.guest, ['nic', 'hot', 'pair0', 'pair1']);
  await applyPolicy(cluster, 'nic', { devices: [{ addresses: [at.nic, at.hot] }], resource: { name: NIC } });
  await applyPolicy(cluster, 'pair', {
    devices: [{ addresses: [at.pair0, at.pair1] }],
    resource: { name: PAIR, unit: 'Function' },
  });
  await kubelet.waitFor({ [NIC]: [at.nic, at.hot], [PAIR]: [at.pair0, at.pair1] }, operator.explain);
  await steps.waitForUnits(PAIR, 2);
  const held = await steps.startHolder('vm', PAIR);
  // Its sibling is withdrawn for as long as the pod lives, whatever happens meanwhile.
  expected = { [NIC]: [at.nic, at.hot], [PAIR]: [held.address] };
  await kubelet.waitFor(expected, operator.explain);
});
afterAll(async () => {
  process.stderr.write(times.table());
  for (const outcome of new Set(outcomes))
    process.stderr.write(
      `pods whose call was interrupted, ${outcome}: ${outcomes.filter((one) => one === outcome).length}\n`,
    );
  await operator?.stop();
});

/** By the guest's clock, in milliseconds. */
async function agentStarted(): Promise<number> {
  const answer = await node.guest.run(
    `stat=$(sed 's/.*) //' /proc/${await steps.agentProcess()}/stat); read up _ < /proc/uptime; date +%s%3N; echo $up; echo $stat`,
  );
  const [now = '', up = '', stat = ''] = answer.split('\n');
  // proc(5): starttime is the 22nd field, two are cut off; in hundredths of a second since boot.
  return Number(now) - Number(up) * 1000 + Number(stat.split(' ')[19]) * 10;
}

/** Whether `notes` tell that kubelet has heard all it lost again: registered anew, and then the list as expected. */
function backAt(notes: readonly KubeletNote[], { at: since, loses }: Fault): number | null {
  const lost = loses === 'all' ? resources : [loses.resource];
  const heard = lost.map((resource) => {
    const own = notes.filter((note) => note.resource === resource && note.at >= since);
    const registered = own.findLastIndex(({ what }) => what === 'registered');
    const listed = own.findIndex(
      ({ what, healthy }, index) => index > registered && what === 'listed' && healthy === expected[resource]?.length,
    );
    return registered === -1 ? null : (own[listed]?.at ?? null);
  });
  return heard.every((one) => one !== null) ? Math.max(...heard) : null;
}

async function expectAllAsBefore(mark: number): Promise<void> {
  await kubelet.waitFor(expected, operator.explain);
  // A sibling that was offered for a moment could have been given to another pod in it.
  const siblings = (await kubelet.since(mark)).filter(({ what, resource }) => what === 'listed' && resource === PAIR);
  expect(siblings.filter(({ healthy }) => (healthy ?? 0) > 1)).toEqual([]);
  const list = 'cd /var/lib/kubelet/device-plugins; ls -A | grep sock | grep -v ^kubelet.sock || true';
  await steps.wait(
    'one socket for each resource',
    async () => (await node.guest.run(list)).split('\n'),
    (sockets) => sockets.length === resources.length,
    30,
  );
  // A kubelet that has just started knows no pods until it has heard of them from the API server.
  const holdersOf = async (): Promise<readonly object[]> =>
    ((await kubelet.holders()) ?? []).flatMap(({ resource, pod, id }) => (resource === PAIR ? [{ pod, id }] : []));
  const held = JSON.stringify([{ pod: 'vm', id: expected[PAIR]?.[0] }]);
  await steps.wait('kubelet knowing the pod', holdersOf, (holders) => JSON.stringify(holders) === held);
  for (const device of Object.values(await steps.readNamed([at.nic, at.hot, at.pair0, at.pair1])))
    expect(device).toMatchObject(onVfio('e1000e-vfio'));
}

/** One round; a pod whose call was interrupted has run or failed by its end, and is gone. */
async function suffer(name: FaultName, round: number): Promise<void> {
  const pod = `made-${round}`;
  const mark = await kubelet.mark();
  let made = false;
  const makePod = async (): Promise<void> => {
    made = true;
    await createPods(cluster, { name: pod, limits: { [NIC]: 1 }, script: HOLD_ALL, placedBy: 'node' });
  };
  const isCall = ({ what }: KubeletNote): boolean => what === 'choosing' || what === 'allocating';
  const waitForCall = async (): Promise<void> => void (await kubelet.waitForNote('a call for the pod', mark, isCall));
  const fault = await doFault(name, round, { node, steps, resources, makePod, waitForCall });
  const back = await steps.wait(
    `kubelet told of everything again after round ${round} (${name})`,
    async () => backAt(await kubelet.since(mark), fault),
    (found) => found !== null,
  );
  const took = (back ?? 0) - fault.at;
  times.add(name, took);
  times.add('all of these', took);
  // Most of that is the node's: to see the end, to make a container, to load the program. The rest is ours.
  if (agentEnds.has(name))
    times.add("the agent's process started, by the three that end it", (back ?? 0) - (await agentStarted()));
  if (made) await settlePod(pod);
  await expectAllAsBefore(mark);
  process.stderr.write(`round ${round}, ${name}: back after ${(took / 1000).toFixed(2)} s\n`);
}

/** It gets its device, however often kubelet has to try; or kubelet has failed it for good, because nobody answered Allocate. */
async function settlePod(pod: string): Promise<void> {
  const look = async (): Promise<{ readonly phase: string; readonly reason: string; readonly holds: boolean }> => {
    const { phase, reason } = await steps.lifeOf(pod);
    return { phase, reason, holds: parseHeldAll(await node.podLog('default', pod, 'main')).holds };
  };
  const { phase, reason } = await steps.wait(
    `pod ${pod} holding its device, or failed`,
    look,
    (one) => one.holds || one.phase === 'Failed',
  );
  outcomes.push(phase === 'Failed' ? reason : 'Running');
  if (phase === 'Failed') expect(reason).toBe('UnexpectedAdmissionError');
  await steps.deletePod(pod);
}

describe('between kubelet and the agent', () => {
  test(
    `${rounds} rounds of whatever can happen: kubelet is told what is true, and a pod keeps its device`,
    {
      timeout: 3 * 3_600_000,
    },
    async () => {
      const names = full ? faultNames : faultNames.slice(0, 5);
      await steps.unchanged('vm', async () => {
        for (let round = 1; round <= rounds; round++)
          await suffer(names[(round - 1) % names.length] ?? names[0], round);
      });
    },
  );

  const restarts = full ? 20 : 2;
  test(`${restarts} plain restarts of kubelet`, { timeout: 3_600_000 }, async () => {
    await steps.unchanged('vm', async () => {
      for (let round = 1; round <= restarts; round++) {
        const mark = await kubelet.mark();
        const begun = await kubelet.now();
        await node.stopKubelet();
        await node.startKubelet();
        const serving = await kubelet.waitForNote('kubelet serving', mark, ({ what }) => what === 'serving');
        const back = await steps.wait(
          `kubelet told of everything again after restart ${round}`,
          async () => backAt(await kubelet.since(mark), { at: begun, loses: 'all' }),
          (found) => found !== null,
        );
        times.add('plain restarts: kubelet ready to be registered with', (back ?? 0) - serving.at);
        await expectAllAsBefore(mark);
        await sleep(500);
      }
    });
  });

  test('the pod ends, and its group is whole again', async () => {
    await steps.deletePod('vm');
    await kubelet.waitFor({ ...expected, [PAIR]: [at.pair0, at.pair1] }, operator.explain);
    expect(await kernelComplaints(node.guest)).toEqual([]);
  });
});

// What a pod gets, with a real kubelet and containerd: a group whose two functions are two units goes to one pod at a time; CDI names lead
// to the nodes; a container that starts again gets its own device or a sentence. Kubelet's own word says what it was told, and when.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCheckpointedAnswers } from '../../../src/kubelet/kubelet-checkpoint.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { addressesOf, kernelComplaints, onVfio } from '../support/devices-in-guest.ts';
import { allocationStepsOn } from './allocation-steps.ts';
import type { AllocationSteps } from './allocation-steps.ts';
import { stepsOn } from './cluster-steps.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Node } from './node.ts';
import { NODE, startOperatorOnNode } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import { applyPolicy, readNodeState } from './operator.ts';
import { createPods, HOLD_ALL } from './pods-on-node.ts';
import type { PodWish } from './pods-on-node.ts';
import { programPaths } from './programs.ts';
import { makeKubeletTell, openToldKubelet } from './told-kubelet.ts';
import type { ToldKubelet, Units } from './told-kubelet.ts';

const full = process.env['FULL_TIER'] === '1';
const PAIR = 'vfio-operator.dev/pair';
const LOWER = 'vfio-operator.dev/pair-lower';
const UPPER = 'vfio-operator.dev/pair-upper';
const HOT = 'vfio-operator.dev/hot';
const CDI = 'vfio-operator.dev/cdi-nic';

let operator: OperatorOnNode;
let cluster: ControlPlane;
let node: Node;
let steps: ClusterSteps;
let kubelet: ToldKubelet;
let pods: AllocationSteps;
let at: Readonly<Record<'nic' | 'hot' | 'pair0' | 'pair1', string>>;
/** What is offered beside what a test is about. */
let beside: Units = {};

beforeAll(async () => {
  operator = await startOperatorOnNode({ topology: 'small', beforeKubelet: makeKubeletTell });
  ({ cluster, node } = operator);
  steps = stepsOn(operator);
  kubelet = await openToldKubelet(node);
  pods = allocationStepsOn(operator, steps, kubelet);
  at = await addressesOf(node.guest, ['nic', 'hot', 'pair0', 'pair1']);
});
afterAll(async () => operator?.stop());

const told = (units: Units): Promise<void> => kubelet.waitFor({ ...beside, ...units }, operator.explain);
/** The group is nobody's, and both functions are offered. Until the agent has seen a pod's end, what the pod had is still its. */
const whole = async (): Promise<void> => {
  await steps.waitForState('a pair that nobody has', (all) =>
    [at.pair0, at.pair1].every((address) => all[address]?.heldBy === undefined),
  );
  await told({ [LOWER]: [at.pair0], [UPPER]: [at.pair1] });
};

/** Prints a range of milliseconds, with the number of measurements. */
function tell(what: string, milliseconds: readonly number[]): void {
  const sorted = milliseconds.map(Math.round).toSorted((a, b) => a - b);
  process.stderr.write(`${what}: ${sorted.join(', ')} ms\n`);
}

describe('both functions of a group, unit Function', () => {
  test('in one resource: a pod that asks for two gets both, and can open both', async () => {
    await applyPolicy(cluster, 'pair', {
      devices: [{ addresses: [at.pair0, at.pair1] }],
      resource: { name: PAIR, unit: 'Function' },
    });
    await told({ [PAIR]: [at.pair0, at.pair1] });
    expect(await pods.groupOf(at.pair0)).toBe(await pods.groupOf(at.pair1));
    await steps.waitForUnits(PAIR, 2);
    await createPods(cluster, { name: 'both', limits: { [PAIR]: 2 }, script: HOLD_ALL });
    const held = await pods.waitForLife('both');
    const [value = ''] = Object.values(held.variables);
    expect(Object.keys(held.variables)).toEqual(['PCI_RESOURCE_VFIO-OPERATOR_DEV_PAIR']);
    expect(value.split(',').toSorted()).toEqual([at.pair0, at.pair1]);
    expect(held).toMatchObject({
      opened: [at.pair0, at.pair1],
      nodes: [await pods.groupOf(at.pair0), 'vfio'].toSorted(),
    });
    await told({ [PAIR]: [at.pair0, at.pair1] });
    await steps.deletePod('both');
  });

  test('in two resources: a pod that asks for one of each gets both', async () => {
    // They outrank the other policy, so the functions change their resource and nothing else.
    const half = (address: string, name: string): object => ({
      priority: 10,
      devices: [{ addresses: [address] }],
      resource: { name, unit: 'Function' },
    });
    await applyPolicy(cluster, 'lower', half(at.pair0, LOWER));
    await applyPolicy(cluster, 'upper', half(at.pair1, UPPER));
    await whole();
    await cluster.kubectl(['delete', 'vfiopolicy', 'pair']);
    await steps.waitForUnits(UPPER, 1);
    const both = { name: 'both', limits: { [LOWER]: 1, [UPPER]: 1 }, script: HOLD_ALL };
    expect((await pods.createTogether(whole, both)).held).toMatchObject({
      variables: {
        'PCI_RESOURCE_VFIO-OPERATOR_DEV_PAIR-LOWER': at.pair0,
        'PCI_RESOURCE_VFIO-OPERATOR_DEV_PAIR-UPPER': at.pair1,
      },
      opened: [at.pair0, at.pair1],
    });
    await steps.deletePod('both');
    await whole();
  });

  test('two pods at once want one each: one starts, the other is told whose the group is, and starts after it', async () => {
    const wish = (name: string, resource: string): PodWish => ({
      name,
      limits: { [resource]: 1 },
      script: HOLD_ALL,
      placedBy: 'node',
    });
    // By the order of admission both Allocates come before either container starts.
    const { name: first } = await pods.createTogether(whole, wish('one', LOWER), wish('two', UPPER));
    const second = first === 'one' ? 'two' : 'one';
    const [has, lacks] = first === 'one' ? [at.pair0, at.pair1] : [at.pair1, at.pair0];
    const group = await pods.groupOf(has);
    await pods.waitForWords(
      second,
      `IOMMU group ${group} of ${lacks} belongs to pod default/${first}, which has ${has} of it and started first; ` +
        'delete the pod, and a new one gets a device that fits',
    );
    expect((await steps.lifeOf(second)).phase).toBe('Pending');
    // What a pod has stays as it is: both were given.
    expect(await kubelet.allocatable()).toEqual({ ...beside, [LOWER]: [at.pair0], [UPPER]: [at.pair1] });

    await steps.deletePod(first);
    await pods.waitForLife(second);
    expect((await pods.heldAll(second)).opened).toEqual([lacks]);
    await steps.deletePod(second);
    await whole();
  });

  test('while one has the group its sibling is withdrawn; a later pod is refused or waits, and gets it afterwards', async () => {
    const withdrawals: number[] = [];
    const returns: number[] = [];
    for (let round = 1; round <= (full ? 10 : 1); round++) {
      const mark = await kubelet.mark();
      await createPods(cluster, { name: 'early', limits: { [LOWER]: 1 }, script: HOLD_ALL });
      await pods.waitForLife('early');
      const starting = await kubelet.waitForNote('PreStartContainer', mark, ({ what }) => what === 'starting');
      const allocating = await kubelet.waitForNote('Allocate', mark, ({ what }) => what === 'allocating');
      const away = await kubelet.waitForNote('the sibling withdrawn', mark, isListed(UPPER, 0));
      // On a slow node the agent's 5 s are over before the container starts.
      withdrawals.push(away.at - Math.min(starting.at, allocating.at + 5_000));
      await told({ [LOWER]: [at.pair0], [UPPER]: [] });

      if (round === 1) {
        await createPods(
          cluster,
          { name: 'bound', limits: { [UPPER]: 1 }, script: HOLD_ALL, placedBy: 'node' },
          { name: 'late', limits: { [UPPER]: 1 }, script: HOLD_ALL },
        );
        const said = await pods.waitForWords('bound', 'UnexpectedAdmissionError');
        expect(said.join('\n')).toContain(`no healthy devices present; cannot allocate unhealthy devices ${UPPER}`);
        const refused = await steps.wait(
          'the pod failed',
          () => steps.lifeOf('bound'),
          ({ phase }) => phase === 'Failed',
        );
        expect(refused.reason).toBe('UnexpectedAdmissionError');
        await pods.waitForWords('late', `Insufficient ${UPPER}`);
        // Kubelet and the scheduler know no reason; the node state does.
        // On a slow node the agent's 5 s are over before it knows the pod, and the first words are without it.
        const state = await steps.waitForState(
          'the sibling told of',
          (all) => all[at.pair1]?.message?.includes('default/early') === true,
        );
        expect(state[at.pair1]?.health).toBe('Unhealthy');
        expect(state[at.pair0]).toMatchObject({ decision: 'Bound', health: 'Healthy' });
        const { resources } = await readNodeState(cluster, NODE);
        expect(resources.find(({ name }) => name === UPPER)).toMatchObject({ capacity: 1, healthy: 0 });
        await cluster.kubectl(['delete', 'pod', 'bound']);
      }

      const ending = await kubelet.mark();
      const deleted = await kubelet.now();
      await steps.deletePod('early');
      const back = await kubelet.waitForNote('the sibling back', ending, isListed(UPPER, 1));
      returns.push(back.at - deleted);
      if (round === 1) {
        // The one that waited needs nobody to do anything.
        await pods.waitForLife('late');
        expect((await pods.heldAll('late')).opened).toEqual([at.pair1]);
        await told({ [LOWER]: [], [UPPER]: [at.pair1] });
        await steps.deletePod('late');
      }
      await whole();
    }
    tell('group sibling withdrawn, from the call that takes the group to kubelet told', withdrawals);
    tell('group sibling back, from the deletion of the pod to kubelet told', returns);
    beside = { [LOWER]: [at.pair0], [UPPER]: [at.pair1] };
  });
});

describe('a device that goes', () => {
  test('kubelet is told of an unplug, and of the return', async () => {
    const times: number[] = [];
    await applyPolicy(cluster, 'hot', { devices: [{ addresses: [at.hot] }], resource: { name: HOT } });
    await told({ [HOT]: [at.hot] });
    const ahead = await kubelet.clockAhead();
    for (let round = 1; round <= (full ? 10 : 2); round++) {
      const mark = await kubelet.mark();
      await node.guest.qmp('device_del', { id: 'hot' });
      const gone = await unplugged(round);
      const note = await kubelet.waitForNote('an unplugged device', mark, isListed(HOT, 0));
      times.push(note.at - ahead - gone);
      await told({});
      const device = { driver: 'e1000e', id: 'hot', bus: 'hot-port', mac: '52:54:00:00:09:00', romfile: '' };
      await node.guest.qmp('device_add', device);
      await told({ [HOT]: [at.hot] });
    }
    tell("unplug, from QEMU's word that the device is gone to kubelet told", times);
    beside = { ...beside, [HOT]: [at.hot] };
  });

  /** The test machine's time at which QEMU has said so for the `count`th time. */
  async function unplugged(count: number): Promise<number> {
    for (const deadline = Date.now() + 120_000; Date.now() < deadline; await sleep(2)) {
      const events = node.guest
        .qmpEvents()
        .filter(({ event, data }) => event === 'DEVICE_DELETED' && JSON.stringify(data).includes('"hot"'));
      if (events.length >= count) return Date.now();
    }
    throw new Error('QEMU did not tell that the device is gone in 120 s');
  }
});

describe('CDI, and a container that starts again', () => {
  const directory = '/var/run/cdi';
  const policy = (cdi: boolean): object => ({
    devices: [{ addresses: [at.nic] }],
    resource: { name: CDI, cdi },
  });
  const documents = async (): Promise<readonly CdiDocument[]> => {
    const text = await node.guest.run(`cat ${directory}/vfio-operator-*.json 2>/dev/null | tr -d '\\n' || true`);
    return text === '' ? [] : text.replaceAll('}{', '}\n{').split('\n').map(toDocument);
  };
  const waitForDocuments = (count: number): Promise<readonly CdiDocument[]> =>
    steps.wait(`${count} CDI documents`, documents, (found) => found.length === count);
  const preStarts = async (mark: number): Promise<number> =>
    (await kubelet.since(mark)).filter(({ what }) => what === 'starting').length;
  const killHolder = (and = ''): Promise<string> =>
    node.guest.run(
      `kill -KILL $(ps -eo pid,args | sed -n 's/^ *\\([0-9]*\\) vfio-holder device .*${at.nic}.*/\\1/p')${and}`,
    );
  let mark = 0;

  test('the document is where containerd looks, and a pod gets its nodes by the name alone', async () => {
    const { containerd } = await programPaths(['containerd']);
    const dump = await node.guest.run(`${containerd} config dump`);
    expect(/cdi_spec_dirs = \[(.*)\]/.exec(dump)?.[1]).toContain(directory);

    await applyPolicy(cluster, 'nic', policy(true));
    await told({ [CDI]: [at.nic] });
    const [document] = await waitForDocuments(1);
    const group = await pods.groupOf(at.nic);
    expect(document).toMatchObject({ kind: CDI, devices: [{ name: at.nic }] });
    expect(JSON.stringify(document)).toContain(`/dev/vfio/${group}`);

    mark = await kubelet.mark();
    const wish = { name: 'cdi', limits: { [CDI]: 1 }, script: HOLD_ALL, restartPolicy: 'Always' } as const;
    await steps.waitForUnits(CDI, 1);
    await createPods(cluster, wish);
    expect(await pods.waitForLife('cdi')).toMatchObject({
      variables: { 'PCI_RESOURCE_VFIO-OPERATOR_DEV_CDI-NIC': at.nic },
      nodes: [group, 'vfio'].toSorted(),
      opened: [at.nic],
    });
    // Kubelet's own memory of our answer: a name and no node, so that the nodes in the container are containerd's doing.
    const checkpoint = await node.guest.readText('/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint');
    const answers = readCheckpointedAnswers(
      createMemoryFiles({ entries: { '/kubelet_internal_checkpoint': checkpoint } }),
      '',
    );
    expect(answers.filter((one) => one.resource === CDI)).toMatchObject([
      { ids: [at.nic], answer: { devices: [], cdiDevices: [`${CDI}=${at.nic}`] } },
    ]);
  });

  test('its container is killed: it starts again with its own device, after another PreStartContainer and no Allocate', async () => {
    const before = await preStarts(mark);
    expect(before).toBe(1);
    await killHolder();
    const held = await pods.waitForLife('cdi', 2);
    expect(held.variables).toEqual({ 'PCI_RESOURCE_VFIO-OPERATOR_DEV_CDI-NIC': at.nic });
    expect(held.nodes).toEqual([await pods.groupOf(at.nic), 'vfio'].toSorted());
    expect(await preStarts(mark)).toBe(2);
    const allocates = (await kubelet.since(mark)).filter(({ what }) => what === 'allocating');
    expect(allocates.map(({ resource }) => resource)).toEqual([CDI]);
  });

  test('its device is bound elsewhere by hand in between: the container does not start and says why; put back, it does', async () => {
    const bind = (driver: string): string =>
      [
        `cd /sys/bus/pci/devices/${at.nic}`,
        `echo ${at.nic} > driver/unbind`,
        `echo ${driver} > driver_override`,
        `echo ${at.nic} > /sys/bus/pci/drivers_probe`,
      ].join(' && ');
    // The unbind waits for the dying holder, and is done before kubelet has seen its end.
    await killHolder(`; ${bind('e1000e')}`);
    await pods.waitForWords('cdi', `${at.nic} is on e1000e now, was on e1000e-vfio`);
    expect((await pods.heldAll('cdi', 3)).holds).toBe(false);
    await told({ [CDI]: [] });

    await node.guest.run(bind('e1000e-vfio'));
    await pods.waitForLife('cdi', 3);
    await told({ [CDI]: [at.nic] });
    expect((await steps.readNamed([at.nic]))[at.nic]).toMatchObject(onVfio('e1000e-vfio'));
  });

  test('the document stays as long as a pod may ask for it, and then goes', async () => {
    await applyPolicy(cluster, 'nic', policy(false));
    await steps.waitForPolicy('nic', 'True');
    await killHolder();
    await pods.waitForLife('cdi', 4);
    expect(await documents()).toHaveLength(1);
    await steps.deletePod('cdi');
    await waitForDocuments(0);
  });
});

describe('the end', () => {
  test('the kernel has nothing to complain of', async () => {
    expect(await kernelComplaints(node.guest)).toEqual([]);
  });
});

interface CdiDocument {
  readonly kind: string;
  readonly devices: readonly { readonly name: string }[];
}

function toDocument(text: string): CdiDocument {
  return JSON.parse(text) as CdiDocument;
}

/** A list that kubelet took in for `resource` with so many healthy devices. */
function isListed(
  resource: string,
  healthy: number,
): (note: Awaited<ReturnType<ToldKubelet['since']>>[number]) => boolean {
  return (note) => note.what === 'listed' && note.resource === resource && note.healthy === healthy;
}

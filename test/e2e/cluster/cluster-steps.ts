// What scenarios on a cluster do again and again: wait for a policy, a node state, a node's units; start pods that hold devices; compare
// lives. Every wait that fails tells what the cluster and the node have to say.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { LabError } from '../lab/lab-error.ts';
import type { DeviceInGuest } from '../support/devices-in-guest.ts';
import { readDevices } from '../support/devices-in-guest.ts';
import { NODE } from './operator-on-node.ts';
import type { OperatorOnNode } from './operator-on-node.ts';
import {
  boxPod,
  eventually,
  HOLD_DEVICES,
  parseHeldDevice,
  readAllocatable,
  readCondition,
  readNodeState,
  readPolicyStatus,
} from './operator.ts';
import type { HeldDevice, StateDevice } from './operator.ts';

/** The pod's phase and its container's restarts and id: what must not change for one that runs on. */
export interface Life {
  readonly phase: string;
  readonly reason: string;
  readonly restarts: number;
  readonly container: string;
}

export interface ClusterSteps {
  /** Asks `read` until `fits`; 300 s unless told. */
  wait<T>(what: string, read: () => Promise<T>, fits: (answer: T) => boolean, seconds?: number): Promise<T>;
  /** Until the node's status offers so many units; none and an unknown resource are the same. */
  waitForUnits(resource: string, units: number): Promise<void>;
  /** Until the policy's Ready begins so (`True`, `False/DevicesHeld`) for the generation it has now. */
  waitForPolicy(name: string, ready: string): Promise<void>;
  /** Until the devices of the node state, by address, fit. */
  waitForState(
    what: string,
    fits: (devices: Readonly<Record<string, StateDevice>>) => boolean,
  ): Promise<Readonly<Record<string, StateDevice>>>;
  /** Addresses of a PF's VFs, as the kernel links them. */
  virtualFunctionsOf(physical: string): Promise<readonly string[]>;
  readNamed(addresses: readonly string[]): Promise<Readonly<Record<string, DeviceInGuest>>>;
  lifeOf(pod: string): Promise<Life>;
  /** Creates a pod that takes one unit and holds its device, and waits until it says so. */
  startHolder(pod: string, resource: string): Promise<HeldDevice>;
  /** What a pod of `startHolder` said it got. */
  heldBy(pod: string): Promise<HeldDevice>;
  /** Deletes it and waits until it is gone. */
  deletePod(pod: string): Promise<void>;
  /** The node that the scheduler gave the pod; undefined before. */
  nodeOf(pod: string): Promise<string | undefined>;
  /** Until the counts of nodes in the policy's status are these. */
  waitForNodes(policy: string, wanted: Readonly<Record<string, number>>): Promise<void>;
  /** Does `act`; the running pod of `startHolder`, its container and its device must be afterwards what they were. */
  unchanged(pod: string, act: () => Promise<unknown>): Promise<void>;
  /** PID of the agent in the guest; empty while there is none. */
  agentProcess(): Promise<string>;
  /** Does `act`, tells on stderr how long the node's status offered another number of units than `units`, and returns that in seconds. */
  measureGap(resource: string, units: number, act: () => Promise<unknown>): Promise<number>;
}

export function stepsOn({ cluster, node, explain }: OperatorOnNode): ClusterSteps {
  const wait: ClusterSteps['wait'] = (what, read, fits, seconds) =>
    eventually(what, read, fits, { explain, ...(seconds === undefined ? {} : { seconds }) });
  const heldBy: ClusterSteps['heldBy'] = async (pod) => parseHeldDevice(await node.podLog('default', pod, 'main'));
  const unitsNow = async (resource: string): Promise<number> => (await readAllocatable(cluster, NODE, resource)) ?? 0;

  const readNamed: ClusterSteps['readNamed'] = (addresses) =>
    readDevices(node.guest, Object.fromEntries(addresses.map((address) => [address, address])));
  const lifeOf: ClusterSteps['lifeOf'] = async (pod) => {
    const { body } = await cluster.admin.request({ path: `/api/v1/namespaces/default/pods/${pod}` });
    const status = body['status'] as PodStatus | undefined;
    const container = status?.containerStatuses?.[0];
    return {
      phase: status?.phase ?? 'gone',
      reason: status?.reason ?? '',
      restarts: container?.restartCount ?? 0,
      container: container?.containerID ?? '',
    };
  };

  return {
    wait,
    heldBy,
    readNamed,
    lifeOf,
    nodeOf: async (pod) => {
      const { body } = await cluster.admin.request({ path: `/api/v1/namespaces/default/pods/${pod}` });
      return (body['spec'] as { nodeName?: string } | undefined)?.nodeName;
    },
    waitForNodes: async (policy, wanted) => {
      const read = async (): Promise<Readonly<Record<string, number>> | undefined> =>
        ((await readPolicyStatus(cluster, policy)) as PolicyStatus | undefined)?.nodes;
      await wait(`nodes ${JSON.stringify(wanted)}`, read, (nodes) =>
        Object.entries(wanted).every(([key, count]) => nodes?.[key] === count),
      );
    },
    unchanged: async (pod, act) => {
      const { address } = await heldBy(pod);
      const look = async (): Promise<object> => ({ life: await lifeOf(pod), device: await readNamed([address]) });
      const before = await look();
      await act();
      expect(before).toMatchObject({ life: { phase: 'Running' } });
      expect(await look()).toEqual(before);
    },
    waitForUnits: async (resource, units) => {
      await wait(
        `${units} of ${resource}`,
        () => unitsNow(resource),
        (found) => found === units,
      );
    },
    waitForPolicy: async (name, ready) => {
      const read = (): Promise<string | undefined> => readCondition(cluster, name, 'Ready');
      await wait(`policy ${name} with Ready ${ready}`, read, (found) => found?.startsWith(ready) === true);
    },
    waitForState: (what, fits) =>
      wait(
        what,
        async () => {
          const { devices } = await readNodeState(cluster, NODE);
          return Object.fromEntries(devices.map((device) => [device.address, device]));
        },
        fits,
      ),
    virtualFunctionsOf: async (physical) => {
      const links = await node.guest.run(
        `cd /sys/bus/pci/devices/${physical}; for f in virtfn*; do readlink $f || true; done`,
      );
      return links
        .split('\n')
        .filter((link) => link !== '')
        .map((link) => link.replace('../', ''));
    },
    startHolder: async (pod, resource) => {
      const document = boxPod(pod, HOLD_DEVICES, { [resource]: 1 });
      await cluster.kubectl(['create', '-f', '-'], JSON.stringify(document));
      return wait(
        `pod ${pod} holding a device`,
        () => heldBy(pod),
        (held) => held.holding,
      );
    },
    deletePod: async (pod) => {
      await cluster.kubectl(['delete', 'pod', pod, '--wait=true', '--timeout=90s']);
    },
    agentProcess: () =>
      node.guest.run("ps -eo pid,args | grep 'main.mjs agent' | grep -v grep | sed -n '1s/^ *\\([0-9]*\\).*/\\1/p'"),
    measureGap: async (resource, units, act) => {
      const changes: { readonly at: number; readonly units: number }[] = [];
      const done = new AbortController();
      const watching = (async () => {
        for (let late = Number.POSITIVE_INFINITY; ; await sleep(100)) {
          const found = await unitsNow(resource);
          if (changes.at(-1)?.units !== found) changes.push({ at: performance.now(), units: found });
          // Status follows a change of devices by up to 14 s: what is back before that was perhaps never seen to go.
          if (done.signal.aborted && found === units) return;
          if (done.signal.aborted) late = Math.min(late, Date.now() + 180_000);
          if (Date.now() > late)
            throw new LabError(`${found} of ${units} ${resource} are offered.\n${await explain()}`);
        }
      })();
      await act();
      done.abort();
      await watching;
      const gone = changes.find((change) => change.units !== units);
      const seconds = gone === undefined ? 0 : ((changes.at(-1)?.at ?? 0) - gone.at) / 1000;
      process.stderr.write(`${resource} was not offered in full for ${seconds.toFixed(1)} s, by the node's status\n`);
      return seconds;
    },
  };
}

interface PolicyStatus {
  readonly nodes?: Readonly<Record<string, number>>;
}

interface PodStatus {
  readonly phase: string;
  readonly reason?: string;
  readonly containerStatuses?: readonly { readonly restartCount: number; readonly containerID: string }[];
}

// A fleet of simulated nodes on a real API server: node states as agents write them, in full, and how long the controller takes to say
// what they add up to. Used by the test of 500 nodes and by the bench of 5,000.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VfioNodeStateStatus, VfioPolicyStatus } from '../../../src/api/generated/types.ts';
import type { KubernetesObject } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { freePorts, type Service } from '../cluster/service.ts';
import { until } from '../cluster/until.ts';
import {
  addNode,
  applyPolicy,
  applyState,
  type ControllerParts,
  fullDevice,
  newController,
  policiesPath,
  seenPolicy,
  statesPath,
} from './controller-lab.ts';

export interface FleetSize {
  readonly nodes: number;
  /** Devices per node, shared out over the policies. */
  readonly devices: number;
  readonly policies: number;
}

export interface FleetFigures {
  /** Milliseconds from the answer to the last node state's write until every policy's status was right. */
  readonly right: number;
  /** The same for one node that changes afterwards, with all others still. */
  readonly oneChange: number;
  /** Milliseconds a new leader needs from its start until it has said the same. */
  readonly successor: number;
  /** Bytes resident now and at most. */
  readonly resident: number;
  readonly mostResident: number;
  /** The same of the new leader, which has listed everything at once. */
  readonly successorMost: number;
  /** Requests of the controller by verb, from its start to the end. */
  readonly requests: Readonly<Record<string, number>>;
  /** Writes of statuses that it took while the fleet came up. */
  readonly statusWrites: number;
  /** Bytes of one node state as the API server gives it. */
  readonly stateBytes: number;
}

const nameOf = (index: number): string => `node-${index.toString().padStart(5, '0')}`;

/** Puts the fleet there, with a controller that watches it grow, and measures. The controller is left running. */
export async function measureFleet(
  cluster: ControlPlane,
  size: FleetSize,
  parts: ControllerParts,
  say: (text: string) => void,
): Promise<{ readonly figures: FleetFigures; readonly controller: Service }> {
  const policies: KubernetesObject[] = [];
  for (let index = 0; index < size.policies; index += 1) policies.push(await applyPolicy(cluster, `policy-${index}`));
  const [port = 0] = await freePorts(1);
  const first = newController(cluster, 'fleet-first', { ...parts, port });
  await first.start();
  say(`${size.nodes} nodes and their agents' pods`);
  await forEach(size.nodes, async (index) => addNode(cluster, nameOf(index)));
  say(`${size.nodes} node states of ${size.devices} devices`);
  await forEach(size.nodes, async (index) => applyState(cluster, nameOf(index), stateOf(policies, size)));
  const right = await timeUntilBound(cluster, size, size.nodes);
  const writes = await readMetric(port, 'vfio_operator_controller_status_writes_total', 'outcome');

  say('one node changes');
  await sleep(6000);
  const last = nameOf(size.nodes - 1);
  await applyState(cluster, last, { ...stateOf(policies, size), devices: [] });
  const oneChange = await timeUntilBound(cluster, size, size.nodes - 1);
  const memory = readMemory(first.pid() ?? 0);
  const requests = await readMetric(port, 'vfio_operator_controller_api_requests_total', 'verb');
  const state = await cluster.admin.request({ path: `${statesPath}/${nameOf(0)}` });

  say('another replica takes over');
  const second = newController(cluster, 'fleet-second', parts);
  await second.start();
  await applyState(cluster, last, stateOf(policies, size));
  await timeUntilBound(cluster, size, size.nodes);
  await first.stop('SIGTERM');
  const begun = Date.now();
  await applyState(cluster, last, { ...stateOf(policies, size), devices: [] });
  await timeUntilBound(cluster, size, size.nodes - 1);
  const successor = Date.now() - begun;
  const figures: FleetFigures = {
    right,
    oneChange,
    successor,
    ...memory,
    successorMost: readMemory(second.pid() ?? 0).mostResident,
    requests,
    statusWrites: writes.written ?? 0,
    stateBytes: Buffer.byteLength(state.text),
  };
  return { figures, controller: second };
}

function stateOf(policies: readonly KubernetesObject[], size: FleetSize): VfioNodeStateStatus {
  return {
    agentVersion: '0.1.0',
    kernel: { release: '6.12.43+deb13-amd64', iommu: true, iommufd: true, noIommuMode: false },
    policies: policies.map(seenPolicy),
    devices: Array.from({ length: size.devices }, (_, index) =>
      fullDevice(index, { policy: `policy-${index % size.policies}` }),
    ),
  };
}

/** Milliseconds from now until every policy says that the devices of so many nodes are bound, and nothing else. */
async function timeUntilBound(cluster: ControlPlane, size: FleetSize, nodes: number): Promise<number> {
  const begun = Date.now();
  const perNode = size.devices / size.policies;
  const isRight = async (): Promise<boolean> => {
    const found = await cluster.admin.list(policiesPath);
    return found.every((policy) => {
      const status = (policy['status'] ?? {}) as VfioPolicyStatus;
      const ready = status.conditions?.find(({ type }) => type === 'Ready');
      const done = status.nodes?.matched === nodes && status.nodes.ready === nodes;
      return done && status.devices?.bound === nodes * perNode && ready?.reason === 'AllDone';
    });
  };
  await until(`the status of ${nodes} nodes`, isRight, 300);
  return Date.now() - begun;
}

/** Runs `task` for every number below `count`, sixteen at a time. */
async function forEach(count: number, task: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next; index < count; index = next) {
      next += 1;
      await task(index);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

async function readMetric(port: number, name: string, label: string): Promise<Readonly<Record<string, number>>> {
  // The count of requests is brought up to date every 5 s.
  await sleep(5500);
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = [...text.matchAll(new RegExp(`^${name}\\{${label}="([^"]+)"\\} (\\d+)$`, 'gm'))];
  return Object.fromEntries(lines.map(([, value = '', count = '']) => [value, Number(count)]));
}

function readMemory(pid: number): { readonly resident: number; readonly mostResident: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0);
  return { resident: kib('VmRSS') * 1024, mostResident: kib('VmHWM') * 1024 };
}

// The whole agent on one simulated node with very many functions: how long until all are bound and offered, what a pass costs when there
// is nothing to do, what kubelet is sent, and that nothing is written any more. The kernel, its files and
// kubelet are simulated in this process and their time is in the figures. Run: node bench/node-load.ts [--long]; that takes 2,016 virtual functions and
// 4,096 functions in place of 252 and 512.
import { parseArgs } from 'node:util';
import type { Policy } from '../src/domain/policy.ts';
import { listAndWatchResponse } from '../src/kubelet/codec.ts';
import type { KernelSpec, PciSpec } from '../src/simulation/kernel/spec.ts';
import { rootPort } from '../src/simulation/nodes/demo-node.ts';
import { createRandomNode } from '../src/simulation/nodes/random-node.ts';
import { createSeededRandom } from '../src/simulation/seeded-random.ts';
import { AgentNode } from '../test/support/agent-node.ts';
import { aPolicy, aResource } from '../test/support/builders.ts';

interface Load {
  readonly name: string;
  readonly spec: KernelSpec;
  readonly policies: readonly Policy[];
  readonly resource: string;
  readonly expected: number;
}

const { values } = parseArgs({ options: { long: { type: 'boolean', default: false } } });
const steadyRuns = 15;
const perFunction = 63;
const storm = values.long ? 10_000 : 1_000;

// Looks at files that are not there make errors by the million; nobody reads their stacks.
Error.stackTraceLimit = 0;
const loads = values.long
  ? [functions(64, 64), virtualFunctions(32), functions(4096, 512)]
  : [functions(64, 64), virtualFunctions(4), functions(512, 64)];
console.log(
  'node                            all offered, s   pass, ms (min/median)   of processor, ms   writes   list, KiB',
);
for (const load of loads) await measure(load);
await policyStorm();

async function measure({ name, spec, policies, resource, expected }: Load): Promise<void> {
  const node = new AgentNode(spec, policies);
  await node.boot();
  const begun = performance.now();
  const life = await node.start();
  while ((node.kubelet.devices(resource) ?? []).filter(({ health }) => health === 'Healthy').length < expected) {
    if (performance.now() - begun > 600_000) throw new Error(`${name}: not all was offered`);
    await node.clock.advance(5_000);
  }
  const offered = (performance.now() - begun) / 1000;
  await node.clock.advance(60_000);
  const writes = node.writes.length;
  const before = process.cpuUsage();
  const times: number[] = [];
  for (let run = 0; run < steadyRuns; run += 1) {
    const passes = life.passes.length;
    const start = performance.now();
    life.agent.lookAgain('the bench asks');
    while (life.passes.length === passes) await node.clock.advance(60);
    times.push(performance.now() - start);
  }
  const { user, system } = process.cpuUsage(before);
  if (node.writes.length > writes) throw new Error(`${name}: ${node.writes.length - writes} writes with nothing to do`);
  const devices = node.kubelet.devices(resource) ?? [];
  const bytes = listAndWatchResponse.encode({ devices: devices.map((device) => ({ ...device, numaNodes: [0] })) });
  const sorted = times.toSorted((a, b) => a - b);
  const cells = [
    name.padEnd(31),
    offered.toFixed(1).padStart(14),
    `${sorted[0]?.toFixed(0)} / ${sorted[steadyRuns >> 1]?.toFixed(0)}`.padStart(22),
    ((user + system) / 1000 / steadyRuns).toFixed(0).padStart(17),
    '0'.padStart(7),
    (bytes.length / 1024).toFixed(0).padStart(10),
  ];
  console.log(cells.join('  '));
  life.kill();
}

/** Policies change ten thousand times, fifty a second; the agent must end where the last ones say, with few passes. */
async function policyStorm(): Promise<void> {
  const { spec, policies } = functions(64, 64);
  const node = new AgentNode(spec, policies);
  await node.boot();
  const life = await node.start();
  const { writes } = node;
  const [passes, before] = [life.passes.length, writes.length];
  const begun = performance.now();
  for (let change = 0; change < storm; change += 1) {
    const [policy] = policies;
    if (policy !== undefined) await node.setPolicies([{ ...policy, priority: change % 7 }], 20);
  }
  const seconds = (performance.now() - begun) / 1000;
  await node.setPolicies([], 60_000);
  const left = Object.values(node.control.snapshot().drivers).filter((driver) => driver?.includes('vfio') === true);
  console.log(
    `storm: ${storm} policy changes in ${seconds.toFixed(1)} s, ${life.passes.length - passes} passes, ` +
      `${writes.length - before} writes in all, ${left.length} devices on VFIO after the last policy went`,
  );
  if (left.length > 0) throw new Error('the storm left devices behind');
  life.kill();
}

function functions(count: number, groups: number): Load {
  const machine = createRandomNode(createSeededRandom(7), { devices: count, groups, usedDisks: 0 });
  const resource = 'bench.example/any';
  const policy = aPolicy({
    name: 'all',
    devices: [{ class: '02' }, { class: '0108' }, { class: '03' }, { class: '04' }, { class: '00' }],
    resource: aResource(resource),
  });
  return {
    name: `${count} functions, ${groups} groups`,
    spec: machine.spec,
    policies: [policy],
    resource,
    expected: groups,
  };
}

function virtualFunctions(physicalFunctions: number): Load {
  const base = createRandomNode(createSeededRandom(7), { devices: 1, groups: 1, usedDisks: 0 }).spec;
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  const cards = Array.from({ length: physicalFunctions }, (_, index): readonly PciSpec[] => {
    const bus = 0x10 + index;
    const parent = `0001:00:${hex(index)}.0`;
    const card: PciSpec = {
      address: `0001:${hex(bus)}:00.0`,
      parent,
      group: `card ${index}`,
      vendor: '15b3',
      device: '101d',
      class: '020000',
      children: [{ kind: 'net', name: `enp${bus}np0` }],
      sriov: { total: perFunction, vfDevice: '101e', offset: 8, stride: 1 },
    };
    return [rootPort(parent, bus), card];
  });
  const resource = 'bench.example/vf';
  const policy = aPolicy({
    name: 'vfs',
    devices: [
      { vendor: '15b3', device: '101d', addresses: cards.flatMap((card) => card.slice(1).map((one) => one.address)) },
    ],
    virtualFunctions: perFunction,
    resource: aResource(resource, { unit: 'Function' }),
  });
  const expected = physicalFunctions * perFunction;
  return {
    name: `${expected} virtual functions`,
    spec: { ...base, devices: [...base.devices, ...cards.flat()] },
    policies: [policy],
    resource,
    expected,
  };
}

// A node with thousands of virtual functions, as the makers of its node state see it: once as such nodes are, once with every text as long
// as the API allows and made of the characters that take most room.
import type { Decision } from '../../src/domain/decision.ts';
import type { Candidate, DriverChoice } from '../../src/domain/driver-choice.ts';
import type { NodeStateInput } from '../../src/domain/node-state.ts';
import { aDevice, aLedger, anEntry, anInventory, aPolicy } from './builders.ts';
import { aDecision, aPlan, aPool, anAdvertised, anInput } from './node-state-input.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

function virtualFunctionAddress(index: number): string {
  return `0000:${hex(16 + (index >> 8), 2)}:${hex((index >> 3) & 31, 2)}.${index & 7}`;
}

function aCandidate(pattern: string, module: string, source: string): Candidate {
  return { pattern, module, origin: 'file', source, line: 1, wildcards: pattern.split('*').length - 1 };
}

/** `count` bound virtual functions, each of them in a virtual machine, for one policy and one resource. */
export function aBusyNode(count: number): NodeStateInput {
  const candidates = [
    aCandidate(
      'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*',
      'mlx5_vfio_pci',
      '/lib/modules/6.12.48-amd64/modules.alias',
    ),
    aCandidate('vfio_pci:v*d*sv*sd*bc*sc*i*', 'vfio_pci', '/lib/modules/6.12.48-amd64/modules.alias'),
  ];
  return aNode(count, {
    policies: ['connectx-virtual-functions'],
    resources: ['vfio-operator.dev/connectx7-vf'],
    choices: [choose(candidates)],
    who: (index) => `tenant-${index}/virt-launcher-vm-${index}-abcde (compute)`,
    kind: 'Bound',
    message: '',
    driver: 'mlx5_vfio_pci',
    driverBefore: 'mlx5_core',
    unread: [],
  });
}

/** The same with nothing short: 512 policies and resources, all refused, 256 kinds of evidence, everything unreadable. */
export function aMonstrousNode(count: number, filler: string): NodeStateInput {
  const long = (length: number): string => filler.repeat(Math.ceil(length / [...filler].length));
  const named = (index: number, length: number): string => `${index}-${'n'.repeat(length)}`.slice(0, length);
  const choices = Array.from({ length: 256 }, (_, kind) =>
    choose(Array.from({ length: 16 }, (__, at) => aCandidate(`${kind}.${at}${long(512)}`, named(at, 64), long(512)))),
  );
  const node = aNode(count, {
    policies: Array.from({ length: 512 }, (_, index) => named(index, 63)),
    resources: Array.from({ length: 512 }, (_, index) => `${named(index, 244)}/${'r'.repeat(63)}`),
    choices,
    who: () => long(256),
    kind: 'Refused',
    message: long(4096),
    driver: long(64),
    driverBefore: long(64),
    unread: Array.from({ length: 64 }, () => ({ source: long(1024), why: long(1024) })),
  });
  return {
    ...node,
    agentVersion: long(64),
    invalidPolicies: node.policies.policies.map(({ name, uid, generation }) => ({
      name,
      uid,
      generation,
      message: long(4096),
    })),
    registrations: new Map(
      node.pools.map(({ resource }) => [resource, { registered: false, message: long(4096), allocated: [] }]),
    ),
    extraConditions: [{ type: 'WorkerPlacement', status: 'False', reason: 'NotMoved', message: long(8192) }],
  };
}

interface Traits {
  readonly policies: readonly string[];
  readonly resources: readonly string[];
  readonly choices: readonly DriverChoice[];
  readonly who: (index: number) => string;
  readonly kind: Decision['kind'];
  readonly message: string;
  readonly driver: string;
  readonly driverBefore: string;
  readonly unread: NodeStateInput['inventory']['unread'];
}

function aNode(count: number, traits: Traits): NodeStateInput {
  const of = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;
  const indexes = Array.from({ length: count }, (_, index) => index);
  const devices = indexes.map((index) =>
    aDevice({
      address: virtualFunctionAddress(index),
      vendor: '15b3',
      device: hex(0x101e + (index % traits.choices.length), 4),
      driver: traits.driver,
      iommuGroup: index,
      numaNode: 1,
      physicalFunction: '0000:3b:00.0',
    }),
  );
  const decisions = devices.map(({ address, driver, iommuGroup }, index) =>
    aDecision({
      address,
      iommuGroup,
      kind: traits.kind,
      message: traits.message,
      driverNow: driver,
      policy: of(traits.policies, index),
      resource: of(traits.resources, index),
      choice: of(traits.choices, index),
      driverWanted: traits.kind === 'Bound' ? driver : `${traits.driver}x`,
      code: traits.kind === 'Bound' ? null : 'GroupNotViable',
      losers: traits.kind === 'Bound' ? [] : traits.policies.slice(0, 8).map((policy) => ({ policy, why: 'priority' })),
    }),
  );
  const inventory = { ...anInventory(devices, { release: '6.12.48-amd64' }), unread: traits.unread };
  return anInput({
    inventory,
    plan: aPlan(decisions, { dryRun: traits.kind === 'Bound' ? [] : decisions }),
    policies: {
      complete: true,
      policies: traits.policies.map((name) => aPolicy({ name, uid: '5e1f0d3a-0000-4000-8000-000000000001' })),
      why: null,
    },
    ledger: aLedger(devices.map((device) => anEntry(device, { originalDriver: traits.driverBefore }))),
    inUse: {
      holders: devices.map(({ address }, index) => ({ address, code: 'HeldByPod', who: traits.who(index) })),
      unreadable: null,
    },
    pools: traits.resources.map((resource, at) =>
      aPool(
        resource,
        traits.kind !== 'Bound'
          ? []
          : devices
              .filter((_, index) => index % traits.resources.length === at)
              .map(({ address }) => anAdvertised(address)),
      ),
    ),
    registrations: new Map(traits.resources.map((name) => [name, { registered: true, message: null, allocated: [] }])),
  });
}

function choose(candidates: readonly Candidate[]): DriverChoice {
  return { lookup: null, candidates, rejected: [], chosen: candidates[0] ?? null, fallback: false, tie: false };
}

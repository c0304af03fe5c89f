// Short ways to say what a node state is made of. Everything not said is the plainest thing that exists.
import type { Decision, Plan } from '../../src/domain/decision.ts';
import { emptyLedger } from '../../src/domain/ledger.ts';
import type { NodeStateInput } from '../../src/domain/node-state.ts';
import type { AdvertisedDevice, ResourcePool } from '../../src/domain/resource-pool.ts';
import { anInventory, aResource } from './builders.ts';

/** A device bound to vfio-pci for the policy `nics`, unless said otherwise. */
export function aDecision(parts: Partial<Decision> & Pick<Decision, 'address' | 'kind'>): Decision {
  return {
    role: 'Selected',
    policy: 'nics',
    resource: null,
    code: null,
    message: `${parts.address} is ${parts.kind}`,
    driverNow: 'vfio-pci',
    driverWanted: 'vfio-pci',
    choice: null,
    iommuGroup: null,
    findings: [],
    losers: [],
    ...parts,
  };
}

/** A plan with these decisions and nothing to do. */
export function aPlan(decisions: readonly Decision[], parts: Partial<Plan> = {}): Plan {
  return { decisions, transactions: [], dryRun: [], policyProblems: [], ...parts };
}

/** A node of which nothing is wanted and nothing is wrong. */
export function anInput(parts: Partial<NodeStateInput> = {}): NodeStateInput {
  return {
    node: { name: 'node-1', labels: {} },
    agentVersion: '0.1.0',
    inventory: anInventory([]),
    plan: aPlan([]),
    policies: { complete: true, policies: [], why: null },
    invalidPolicies: [],
    ledger: emptyLedger,
    inUse: { holders: [], unreadable: null },
    pools: [],
    registrations: new Map(),
    notices: new Map(),
    hasKubelet: true,
    extraConditions: [],
    before: null,
    now: Date.UTC(2026, 10, 22, 12),
    ...parts,
  };
}

/** A healthy unit of one function. */
export function anAdvertised(address: string, parts: Partial<AdvertisedDevice> = {}): AdvertisedDevice {
  return {
    id: address,
    healthy: true,
    unhealthyBecause: null,
    numaNode: null,
    iommuGroup: null,
    groupNode: null,
    physicalFunction: null,
    functions: [{ address, driver: 'vfio-pci', selected: true, vfioDevice: null }],
    ...parts,
  };
}

/** A resource with these units and all defaults. */
export function aPool(resource: string, devices: readonly AdvertisedDevice[]): ResourcePool {
  const { name: _, ...fields } = aResource(resource);
  return { resource, ...fields, devices };
}

export const address = '0000:01:00.0';
export const other = '0000:02:00.0';

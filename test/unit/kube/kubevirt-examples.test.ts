// examples/kubevirt: from the policy to the address that a virtual machine gets, by our planner and pools and by KubeVirt's own rules.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildAllocation } from '../../../src/domain/allocation.ts';
import { buildPools } from '../../../src/domain/build-pools.ts';
import type { Device } from '../../../src/domain/device.ts';
import { findPermitProblems } from '../../../src/domain/kubevirt-permits.ts';
import { parseKubeVirt } from '../../../src/domain/parse-kubevirt.ts';
import { plan } from '../../../src/domain/plan.ts';
import { parsePolicyFile } from '../../../src/kube/policy-documents.ts';
import { aDevice, aLedger, anEntry, anInventory, aPlanInput } from '../../support/builders.ts';
import { launcherAddresses, ownPlugins, permits } from '../../support/kubevirt.ts';

const directory = new URL('../../../examples/kubevirt/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, directory), 'utf8');

interface Example {
  /** The host's devices before anything is done. */
  readonly devices: readonly Device[];
  /** Units of each resource that kubelet gives to the machine's pod. */
  readonly allocated: Readonly<Record<string, readonly string[]>>;
  /** Driver of the bound devices. */
  readonly driver: string;
  /** What the machine's entries get. */
  readonly addresses: readonly string[];
}

const gpu = aDevice({
  address: '0000:41:00.0',
  vendor: '10de',
  device: '26b9',
  classCode: '030200',
  driver: null,
  iommuGroup: 41,
});
const sound = { vendor: '10de', device: '22ba', classCode: '040300', driver: 'snd_hda_intel' };
const port = aDevice({
  address: '0000:5e:00.0',
  vendor: '15b3',
  device: '1021',
  driver: 'mlx5_core',
  iommuGroup: 50,
  totalVirtualFunctions: 8,
});
const functions = [
  '0000:5e:01.0',
  '0000:5e:01.1',
  '0000:5e:01.2',
  '0000:5e:01.3',
  '0000:5e:01.4',
  '0000:5e:01.5',
  '0000:5e:01.6',
  '0000:5e:01.7',
];
const drive = { vendor: '144d', device: 'a80a', classCode: '010802', driver: 'nvme' };

const examples: Readonly<Record<string, Example>> = {
  gpu: {
    devices: [gpu, aDevice({ ...sound, address: '0000:41:00.1', iommuGroup: 41 })],
    allocated: { 'vfio-operator.dev/l40s': ['0000:41:00.0'] },
    driver: 'vfio-pci',
    addresses: ['0000:41:00.0'],
  },
  'gpu-with-audio': {
    devices: [
      aDevice({
        address: '0000:01:00.0',
        vendor: '10de',
        device: '2684',
        classCode: '030000',
        driver: null,
        iommuGroup: 7,
      }),
      aDevice({ ...sound, address: '0000:01:00.1', iommuGroup: 7 }),
    ],
    allocated: {
      'vfio-operator.dev/rtx4090': ['0000:01:00.0'],
      'vfio-operator.dev/rtx4090-audio': ['0000:01:00.1'],
    },
    driver: 'vfio-pci',
    addresses: ['0000:01:00.0', '0000:01:00.1'],
  },
  'connectx-vf': {
    devices: [
      { ...port, virtualFunctions: functions },
      ...functions.map((address, index) =>
        aDevice({
          address,
          vendor: '15b3',
          device: '101e',
          driver: null,
          iommuGroup: 60 + index,
          physicalFunction: port.address,
        }),
      ),
    ],
    allocated: { 'vfio-operator.dev/connectx7': ['0000:5e:01.3', '0000:5e:01.0'] },
    driver: 'mlx5_vfio_pci',
    addresses: ['0000:5e:01.3', '0000:5e:01.0'],
  },
  nvme: {
    devices: [
      aDevice({ ...drive, address: '0000:c1:00.0', iommuGroup: 80 }),
      aDevice({ ...drive, address: '0000:c2:00.0', iommuGroup: 81 }),
    ],
    allocated: { 'vfio-operator.dev/pm9a3': ['0000:c2:00.0'] },
    driver: 'vfio-pci',
    addresses: ['0000:c2:00.0'],
  },
};

it('are the ones we promise', () => {
  expect(readdirSync(directory).toSorted()).toEqual(Object.keys(examples).toSorted());
});

describe.each(Object.entries(examples))('examples/kubevirt/%s', (name, example) => {
  const { documents, problems } = parsePolicyFile(read(`${name}/policy.yaml`), 'policy.yaml');
  const policies = documents.map(({ policy }) => policy);
  const permit: unknown = parse(read(`${name}/kubevirt.yaml`));
  const entries = entriesOf(parse(read(`${name}/virtual-machine.yaml`)));
  const decisions = plan(aPlanInput({ devices: example.devices, policies })).decisions;

  it('has good policies, which take every device of the host', () => {
    expect(problems).toEqual([]);
    expect(decisions.map(({ address, kind }) => [address, kind])).toEqual(
      example.devices.map(({ address, virtualFunctions }) => [address, virtualFunctions.length > 0 ? 'Bound' : 'Bind']),
    );
  });

  it('permits what is offered, and leaves it to us alone', () => {
    const config = parseKubeVirt(permit);
    if (config === null) throw new Error('kubevirt.yaml is no KubeVirt object');
    const resources = policies.flatMap(({ resource }) => (resource === null ? [] : [resource.name]));
    const offered = resources.map((resource) => ({
      name: resource,
      ids: decisions
        .filter((one) => one.resource === resource && one.role === 'Selected')
        .flatMap(({ address }) => example.devices.filter((device) => device.address === address))
        .map(({ vendor, device }) => `${vendor}:${device}`),
    }));
    expect(findPermitProblems(config, offered)).toEqual([]);
    expect(ownPlugins(permit)).toEqual([]);
    for (const { deviceName } of entries) expect(permits(permit, deviceName)).toBe(true);
    expect(new Set(entries.map(({ deviceName }) => deviceName))).toEqual(new Set(resources));
  });

  it('gives the virtual machine one address for each entry, by its own driver', () => {
    const pools = buildPools(boundHost(example, decisions, policies));
    const environment: Record<string, string> = {};
    for (const [resource, ids] of Object.entries(example.allocated)) {
      const pool = pools.find((one) => one.resource === resource);
      const units = ids.map((id) => pool?.devices.find((device) => device.id === id));
      if (pool === undefined || units.includes(undefined)) throw new Error(`${resource} lacks ${ids.join(', ')}`);
      const answer = buildAllocation(
        pool,
        units.filter((unit) => unit !== undefined),
      );
      if ('missing' in answer) throw new Error(answer.missing);
      Object.assign(environment, answer.environment);
    }
    expect(launcherAddresses(entries, environment)).toEqual(example.addresses);
  });
});

/** What kubelet is offered once everything is bound. */
function boundHost(
  { devices, driver }: Example,
  decisions: ReturnType<typeof plan>['decisions'],
  policies: Parameters<typeof buildPools>[0]['policies'],
): Parameters<typeof buildPools>[0] {
  const byAddress = new Map(decisions.map((decision) => [decision.address, decision]));
  const taken = devices.filter(({ virtualFunctions }) => virtualFunctions.length === 0);
  const bound = taken.map((device) => ({
    ...device,
    driver,
    vfioDevice: null,
    guarded: { driverOverride: driver, autoprobe: null },
  }));
  const entries = bound.map((device) => {
    const { role = 'Selected', resource = null, policy = '' } = byAddress.get(device.address) ?? {};
    const deviceId = role === 'Selected' ? device.address : null;
    return anEntry(device, { role, resource, policy: policy ?? '', driver, deviceId });
  });
  const all = [...devices.filter((device) => !taken.includes(device)), ...bound];
  return {
    inventory: anInventory(all),
    ledger: aLedger(entries),
    decisions: plan(aPlanInput({ devices: all, policies, ledger: aLedger(entries) })).decisions,
    policies,
    nodes: { groups: new Set(all.map(({ iommuGroup }) => String(iommuGroup))), cdevs: new Set() },
    noIommuNodes: new Map(),
    silent: new Map(),
  };
}

interface VirtualMachine {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly domain: {
          readonly devices: {
            readonly gpus?: readonly { readonly deviceName: string }[];
            readonly hostDevices?: readonly { readonly deviceName: string }[];
          };
        };
      };
    };
  };
}

/** What the machine asks for: GPUs first, then host devices. */
function entriesOf(machine: unknown): readonly { readonly deviceName: string }[] {
  const { gpus = [], hostDevices = [] } = (machine as VirtualMachine).spec.template.spec.domain.devices;
  return [...gpus, ...hostDevices];
}

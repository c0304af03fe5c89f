import { describe, expect, it } from 'vitest';
import type { VfioNodeDevice, VfioNodeState } from '../../../src/api/generated/types.ts';
import type { DriverChoice } from '../../../src/domain/driver-choice.ts';
import { toNodeState } from '../../../src/domain/node-state.ts';
import { aDevice, anInventory, aPolicy, bootId } from '../../support/builders.ts';
import { aDecision, address, anAdvertised, anInput, aPlan, aPool, other } from '../../support/node-state-input.ts';

function deviceOf(state: VfioNodeState, at = address): VfioNodeDevice | undefined {
  return state.status?.devices?.find((device) => device.address === at);
}

describe('toNodeState', () => {
  it('is named after the node and says what the kernel offers', () => {
    expect(toNodeState(anInput())).toEqual({
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioNodeState',
      metadata: { name: 'node-1' },
      status: {
        agentVersion: '0.1.0',
        kernel: { release: '6.1.0-test', bootId, iommu: false, iommufd: false, noIommuMode: false },
        conditions: [
          ['HostReadable', 'True', 'EverythingRead', 'every source was read'],
          ['PoliciesKnown', 'True', 'ListComplete', 'the list of policies is complete'],
          ['Ready', 'True', 'NoMatchingDevices', 'no policy wants a device of this node'],
          ['Registered', 'True', 'NothingToRegister', 'no policy of this node has a resource'],
        ].map(([type, status, reason, message]) => ({
          type,
          status,
          reason,
          message,
          lastTransitionTime: '2026-11-22T12:00:00Z',
        })),
        counts: { bind: 0, bound: 0, release: 0, refused: 0, held: 0, failed: 0, quarantined: 0, stuck: 0, ignored: 0 },
      },
    });
  });

  it('leaves out the boot of a dead copy of a host', () => {
    expect(toNodeState(anInput({ inventory: anInventory([], { bootId: null }) })).status?.kernel).not.toHaveProperty(
      'bootId',
    );
  });

  it('tells everything of a device that is bound, offered and in use', () => {
    const device = aDevice({
      address,
      vendor: '15b3',
      device: '101e',
      driver: 'vfio-pci',
      iommuGroup: 12,
      numaNode: 1,
      physicalFunction: '0000:01:00.7',
    });
    const entry = {
      address,
      bus: 'pci' as const,
      modalias: device.modalias,
      diskSerial: null,
      bootId,
      originalDriver: 'mlx5_core',
      originalOverride: null,
      driver: 'vfio-pci',
      module: 'vfio_pci',
      role: 'Selected' as const,
      policy: 'nics',
      policyUid: null,
      onDelete: 'Restore' as const,
      resource: 'example.org/nic',
      deviceId: address,
      adopted: false,
      retained: false,
      virtualFunctions: null,
      state: 'Taken' as const,
      detail: null,
    };
    const state = toNodeState(
      anInput({
        inventory: anInventory([device]),
        ledger: { entries: new Map([[address, entry]]) },
        plan: aPlan([
          aDecision({
            address,
            kind: 'Bound',
            iommuGroup: 12,
            resource: 'example.org/nic',
            losers: [{ policy: 'others', why: 'lower priority' }],
          }),
        ]),
        pools: [aPool('example.org/nic', [anAdvertised(address)])],
        inUse: {
          holders: [
            { address, code: 'HeldByProcess', who: 'process qemu (7)' },
            { address, code: 'HeldByPod', who: 'default/vm-1' },
            { address: other, code: 'HeldByPod', who: 'default/vm-2' },
          ],
          unreadable: null,
        },
      }),
    );
    expect(deviceOf(state)).toEqual({
      address,
      id: '15b3:101e',
      class: '020000',
      decision: 'Bound',
      driver: 'vfio-pci',
      driverBefore: 'mlx5_core',
      iommuGroup: 12,
      numaNode: 1,
      physicalFunction: '0000:01:00.7',
      health: 'Healthy',
      policy: 'nics',
      resource: 'example.org/nic',
      heldBy: 'default/vm-1, process qemu (7)',
      alsoWantedBy: ['others'],
    });
  });

  it('tells why an offered device is not healthy', () => {
    const pool = aPool('example.org/nic', [
      anAdvertised(address, { healthy: false, unhealthyBecause: '/dev/vfio/12 is missing' }),
    ]);
    const state = toNodeState(anInput({ plan: aPlan([aDecision({ address, kind: 'Bound' })]), pools: [pool] }));
    expect(deviceOf(state)).toMatchObject({ health: 'Unhealthy', message: '/dev/vfio/12 is missing' });
  });

  it('has a notice where there is one, of what is decided and healthy as ever', () => {
    const notices = new Map([[address, 'its PCIe link has 8 of 16 lanes']]);
    const plan = aPlan([aDecision({ address, kind: 'Bound' })]);
    const plain = deviceOf(toNodeState(anInput({ plan })));
    expect(deviceOf(toNodeState(anInput({ plan, notices })))).toEqual({
      ...plain,
      notice: 'its PCIe link has 8 of 16 lanes',
    });
  });

  it('does not offer companions', () => {
    const functions = [address, other].map((at) => ({
      address: at,
      driver: 'vfio-pci',
      selected: at === address,
      vfioDevice: null,
    }));
    const decisions = [
      aDecision({ address, kind: 'Bound' }),
      aDecision({ address: other, kind: 'Bound', role: 'Companion' }),
    ];
    const pools = [aPool('example.org/nic', [anAdvertised(address, { functions })])];
    const state = toNodeState(anInput({ plan: aPlan(decisions), pools }));
    expect(deviceOf(state)?.health).toBe('Healthy');
    expect(deviceOf(state, other)).toMatchObject({ role: 'Companion' });
    expect(deviceOf(state, other)).not.toHaveProperty('health');
  });

  it('tells what is refused and why, on any bus, also of a device that is gone', () => {
    const serial = aDevice({
      address: 'fd000000.serial',
      bus: 'platform',
      vendor: null,
      device: null,
      classCode: null,
      modalias: 'of:NserialT(null)Carm,pl011',
    });
    const decisions = [
      aDecision({
        address: serial.address,
        kind: 'Refused',
        code: 'SystemDevice',
        message: 'it is the console',
        driverNow: 'uart-pl011',
        driverWanted: 'vfio-platform',
        policy: null,
      }),
      aDecision({ address, kind: 'Held', code: 'HeldByPod', driverNow: null, driverWanted: null }),
    ];
    const state = toNodeState(anInput({ inventory: anInventory([serial]), plan: aPlan(decisions) }));
    expect(state.status?.devices).toEqual([
      { address, decision: 'Held', code: 'HeldByPod', message: `${address} is Held`, policy: 'nics' },
      {
        address: 'fd000000.serial',
        bus: 'platform',
        decision: 'Refused',
        code: 'SystemDevice',
        message: 'it is the console',
        driver: 'uart-pl011',
        driverWanted: 'vfio-platform',
      },
    ]);
    expect(state.status?.counts).toMatchObject({ refused: 1, held: 1, bound: 0 });
  });

  it('keeps the rehearsal of DryRun policies apart', () => {
    const dryRun = [aDecision({ address, kind: 'Bind', resource: 'example.org/nic', policy: 'rehearsal' })];
    const state = toNodeState(anInput({ plan: aPlan([], { dryRun }) }));
    expect(state.status).not.toHaveProperty('devices');
    expect(state.status?.counts?.bind).toBe(0);
    expect(state.status?.dryRun).toMatchObject([
      { decision: 'Bind', resource: 'example.org/nic', policy: 'rehearsal' },
    ]);
  });

  it('tells the evidence of a choice once for all devices of a kind', () => {
    const entry = { origin: 'file' as const, source: '/lib/modules/6.1.0/modules.alias', line: 7 };
    const candidates = [
      { ...entry, module: 'mlx5_vfio_pci', pattern: 'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*', wildcards: 5 },
      { ...entry, module: 'vfio_pci', pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*', wildcards: 7, line: 0 },
    ];
    const rejected = [{ ...entry, module: 'bad', pattern: 'vfio_pci:v*', wildcards: 1, reason: 'blacklisted' }];
    const choice: DriverChoice = {
      lookup: 'vfio_pci:v000015B3',
      candidates,
      rejected,
      chosen: candidates[0] ?? null,
      fallback: false,
      tie: true,
    };
    const generic: DriverChoice = { ...choice, candidates: [], rejected: [], chosen: null, fallback: true, tie: false };
    const devices = ['101e', '101c', '101e'].map((device, index) =>
      aDevice({ address: `0000:01:00.${index}`, vendor: '15b3', device }),
    );
    const odd = aDevice({ address: 'odd', bus: 'platform', vendor: null, device: null, modalias: 'platform:odd' });
    const decisions = [
      ...devices.map(({ address }) => aDecision({ address, kind: 'Bind', choice })),
      aDecision({ address: 'odd', kind: 'Bind', choice: generic }),
      aDecision({ address: 'gone', kind: 'Bind', choice }),
    ];
    const state = toNodeState(anInput({ inventory: anInventory([...devices, odd]), plan: aPlan(decisions) }));
    expect(state.status?.aliasEvidence).toEqual([
      {
        ids: ['15b3:101c', '15b3:101e'],
        chosen: 'mlx5_vfio_pci',
        tie: true,
        candidates: [
          {
            module: 'mlx5_vfio_pci',
            pattern: 'vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*',
            wildcards: 5,
            origin: 'file',
            source: '/lib/modules/6.1.0/modules.alias:7',
          },
          {
            module: 'vfio_pci',
            pattern: 'vfio_pci:v*d*sv*sd*bc*sc*i*',
            wildcards: 7,
            origin: 'file',
            source: '/lib/modules/6.1.0/modules.alias',
          },
          {
            module: 'bad',
            pattern: 'vfio_pci:v*',
            wildcards: 1,
            origin: 'file',
            source: '/lib/modules/6.1.0/modules.alias:7',
            rejected: 'blacklisted',
          },
        ],
      },
      { ids: ['platform:odd'], fallback: true, candidates: [] },
    ]);
    expect(deviceOf(state, '0000:01:00.0')?.bestMatch).toBe('mlx5_vfio_pci');
  });

  it('names the policies of this node with the generation that was seen', () => {
    const policies = [
      aPolicy({ name: 'b', uid: 'uid-b', generation: 4 }),
      aPolicy({ name: 'a', generation: 0 }),
      aPolicy({ name: 'elsewhere', nodeSelector: { matchLabels: { rack: 'z' }, matchExpressions: [] } }),
    ];
    const state = toNodeState(
      anInput({
        policies: { complete: true, policies, why: null },
        plan: aPlan([], { policyProblems: [{ policy: 'b', code: 'Conflict', message: 'a has it' }] }),
        invalidPolicies: [
          { name: 'new', uid: 'uid-n', generation: 2, message: 'spec.mode: unknown' },
          { name: 'old', uid: null, generation: 0, message: 'spec.mode: unknown' },
        ],
      }),
    );
    expect(state.status?.policies).toEqual([
      { name: 'a', observedGeneration: 0 },
      { name: 'b', uid: 'uid-b', observedGeneration: 4, code: 'Conflict', message: 'a has it' },
      { name: 'new', uid: 'uid-n', observedGeneration: 2, code: 'Invalid', message: 'spec.mode: unknown' },
      { name: 'old', observedGeneration: 0, code: 'Invalid', message: 'spec.mode: unknown' },
    ]);
  });

  it('counts resources', () => {
    const pools = [
      aPool('example.org/a', [
        anAdvertised(address),
        anAdvertised(other, { healthy: false, unhealthyBecause: 'it is gone' }),
      ]),
      aPool('example.org/b', []),
    ];
    const registrations = new Map([
      ['example.org/a', { registered: true, message: null, allocated: [address, address, 'not ours'] }],
    ]);
    expect(toNodeState(anInput({ pools, registrations })).status?.resources).toEqual([
      { name: 'example.org/a', capacity: 2, healthy: 1, allocated: 1, registered: true },
      { name: 'example.org/b', capacity: 0, healthy: 0, allocated: 0, registered: false },
    ]);
    const refused = new Map([['example.org/a', { registered: false, message: 'kubelet said no', allocated: [] }]]);
    expect(toNodeState(anInput({ pools, registrations: refused })).status?.resources?.[0]).toMatchObject({
      registered: false,
      message: 'kubelet said no',
    });
  });

  it('is the same for any order of decisions and holders', () => {
    const decisions = [
      aDecision({ address, kind: 'Bound' }),
      aDecision({ address: other, kind: 'Held', code: 'HeldByPod' }),
    ];
    const holders = [
      { address, code: 'HeldByPod' as const, who: 'b' },
      { address, code: 'HeldByPod' as const, who: 'a' },
    ];
    const one = anInput({ plan: aPlan(decisions), inUse: { holders, unreadable: null } });
    const two = anInput({
      plan: aPlan(decisions.toReversed()),
      inUse: { holders: holders.toReversed(), unreadable: null },
    });
    expect(JSON.stringify(toNodeState(one))).toBe(JSON.stringify(toNodeState(two)));
  });
});

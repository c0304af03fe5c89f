// The plan for one node, compared as text: what is bound, refused, held, released, and with which steps.
import { describe, expect, test } from 'vitest';
import type { Device } from '../../../src/domain/device.ts';
import { plan } from '../../../src/domain/plan.ts';
import {
  aBridge,
  aCatalog,
  aDevice,
  aLedger,
  anEntry,
  aPlanInput,
  aPolicy,
  aResource,
} from '../../support/builders.ts';
import { renderPlan } from '../../support/render-plan.ts';

const nic = aDevice({ address: '0000:01:00.0', iommuGroup: 1 });
const onVfio = (device: Device): Device => ({
  ...device,
  driver: 'vfio-pci',
  vfioDevice: 'vfio0',
  guarded: { driverOverride: 'vfio-pci', autoprobe: null },
});
const takeNics = aPolicy({ name: 'p', devices: [{ vendor: '8086', device: '10d3' }] });
const text = (parts: Parameters<typeof aPlanInput>[0]): string => renderPlan(plan(aPlanInput(parts)));

describe('binding', () => {
  test('override before unbind, then the bind file of the driver', () => {
    expect(text({ devices: [nic], policies: [takeNics] })).toBe(
      `0000:01:00.0 Bind (p)
Bind group:1
  0000:01:00.0: driver_override = vfio-pci
  0000:01:00.0: unbind from e1000e
  0000:01:00.0: bind to vfio-pci`,
    );
  });

  test('a variant driver wins, and its module is loaded first', () => {
    const vf = aDevice({ address: '0000:02:00.1', vendor: '15b3', device: '101e', driver: null, iommuGroup: 2 });
    const catalog = aCatalog([{ name: 'mlx5_vfio_pci', state: 'Available' }]);
    const policies = [aPolicy({ name: 'p', devices: [{ vendor: '15b3' }] })];
    expect(text({ devices: [vf], policies, catalog })).toBe(
      `0000:02:00.1 Bind (p)
Bind group:2
  modprobe mlx5_vfio_pci
  0000:02:00.1: driver_override = the driver of module mlx5_vfio_pci
  0000:02:00.1: bind to the driver of module mlx5_vfio_pci`,
    );
  });

  test('a device on its driver by our hand needs nothing', () => {
    const bound = onVfio(nic);
    expect(text({ devices: [bound], policies: [takeNics], ledger: aLedger([anEntry(bound)]) })).toBe(
      '0000:01:00.0 Bound (p)',
    );
  });

  test('what the policy does not select is left alone', () => {
    expect(text({ devices: [nic], policies: [aPolicy({ name: 'p', devices: [{ vendor: '10de' }] })] })).toBe('');
  });

  test('exclude wins over devices', () => {
    const policies = [aPolicy({ name: 'p', devices: [{ vendor: '8086' }], exclude: [{ addresses: [nic.address] }] })];
    expect(text({ devices: [nic], policies })).toBe('');
  });

  test('another VFIO driver by policy changes the driver', () => {
    const bound = onVfio(nic);
    const policies = [
      aPolicy({
        ...takeNics,
        name: 'p',
        devices: [{ vendor: '8086' }],
        exclude: [],
        driver: { name: 'mlx5_vfio_pci', module: null, requireVariant: false, aliases: [] },
      }),
    ];
    expect(text({ devices: [bound], policies, ledger: aLedger([anEntry(bound)]) })).toBe(
      `0000:01:00.0 Bind (p)
ChangeDriver group:1
  0000:01:00.0: driver_override = mlx5_vfio_pci
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: bind to mlx5_vfio_pci`,
    );
  });
});

describe('groups', () => {
  const gpu = aDevice({
    address: '0000:03:00.0',
    vendor: '10de',
    device: '2204',
    classCode: '030000',
    driver: 'nouveau',
    iommuGroup: 3,
  });
  const audio = aDevice({
    address: '0000:03:00.1',
    vendor: '10de',
    device: '1aef',
    classCode: '040300',
    driver: 'snd_hda_intel',
    iommuGroup: 3,
  });
  const takeGpu = aPolicy({ name: 'gpu', devices: [{ vendor: '10de', class: '03' }] });

  test('a sibling on a host driver refuses the group', () => {
    expect(text({ devices: [gpu, audio], policies: [takeGpu] })).toBe('0000:03:00.0 Refused GroupNotViable (gpu)');
  });

  test('BindCompanions takes it along', () => {
    const policies = [{ ...takeGpu, iommuGroup: 'BindCompanions' as const }];
    expect(
      text({ devices: [gpu, audio], policies })
        .split('\n')
        .slice(0, 3),
    ).toEqual(['0000:03:00.0 Bind (gpu)', '0000:03:00.1 Bind Companion (gpu)', 'Bind group:3']);
  });

  test('an excluded sibling is protected from coming along', () => {
    const policies = [
      aPolicy({
        name: 'gpu',
        devices: [{ class: '0300' }],
        exclude: [{ class: '0403' }],
        iommuGroup: 'BindCompanions',
      }),
    ];
    expect(text({ devices: [gpu, audio], policies })).toBe('0000:03:00.0 Refused GroupNotViable (gpu)');
  });

  test('a critical member refuses the group', () => {
    const policies = [{ ...takeGpu, iommuGroup: 'BindCompanions' as const }];
    const findings = [{ address: audio.address, code: 'SystemDevice' as const, proof: 'it keeps the time' }];
    expect(text({ devices: [gpu, audio], policies, findings })).toBe('0000:03:00.0 Refused GroupHasCritical (gpu)');
  });

  test('a bridge on pcieport harms nobody', () => {
    const bridge = aBridge({ address: '0000:02:00.0', iommuGroup: 3 });
    const policies = [aPolicy({ name: 'gpu', devices: [{ vendor: '10de' }] })];
    expect(text({ devices: [bridge, gpu, audio], policies })).toMatch(/^0000:03:00.0 Bind \(gpu\)\n0000:03:00.1 Bind/);
  });

  test('with unit Group a group belongs to one resource', () => {
    const policies = [
      aPolicy({ name: 'a', devices: [{ class: '03' }], resource: aResource('x.io/gpu') }),
      aPolicy({ name: 'b', devices: [{ class: '0403' }], resource: aResource('x.io/audio') }),
    ];
    expect(text({ devices: [gpu, audio], policies })).toBe(
      '0000:03:00.0 Refused GroupNotViable (a)\n0000:03:00.1 Refused Conflict (b)',
    );
  });

  test('with unit Function it may lie in two', () => {
    const policies = [
      aPolicy({ name: 'a', devices: [{ class: '03' }], resource: aResource('x.io/gpu', { unit: 'Function' }) }),
      aPolicy({ name: 'b', devices: [{ class: '0403' }], resource: aResource('x.io/audio', { unit: 'Function' }) }),
    ];
    const result = plan(aPlanInput({ devices: [gpu, audio], policies }));
    expect(result.transactions[0]?.members.map((member) => [member.resource, member.deviceId])).toEqual([
      ['x.io/gpu', gpu.address],
      ['x.io/audio', audio.address],
    ]);
  });
});

describe('refusals', () => {
  const refused = (parts: Parameters<typeof aPlanInput>[0]): string => text({ policies: [takeNics], ...parts });

  test('a finding refuses, and its proof is in the sentence', () => {
    const findings = [{ address: nic.address, code: 'PrimaryNetwork' as const, proof: 'eth0 has the default route' }];
    const result = plan(aPlanInput({ devices: [nic], policies: [takeNics], findings }));
    expect(result.decisions[0]).toMatchObject({ kind: 'Refused', code: 'PrimaryNetwork' });
    expect(result.decisions[0]?.message).toMatch(/^eth0 has the default route\. /);
    expect(result.transactions).toEqual([]);
  });

  test('allow overrides what it may, and nothing else', () => {
    const policies = [{ ...takeNics, allow: ['NetworkInUse', 'PrimaryNetwork', 'RootStorage'] as const }];
    const finding = (code: 'NetworkInUse' | 'PrimaryNetwork') => [{ address: nic.address, code, proof: 'x' }];
    expect(text({ devices: [nic], policies, findings: finding('NetworkInUse') })).toMatch(/ Bind /);
    expect(text({ devices: [nic], policies, findings: finding('PrimaryNetwork') })).toMatch(/ Refused PrimaryNetwork /);
  });

  test('without a group there is no IOMMU', () => {
    const bare = { ...nic, iommuGroup: null };
    expect(refused({ devices: [bare] })).toBe('0000:01:00.0 Refused NoIommu (p)');
    const policies = [{ ...takeNics, allow: ['NoIommu'] as const }];
    expect(text({ devices: [bare], policies })).toBe('0000:01:00.0 Refused NoIommu (p)');
  });

  test('a bridge, whatever selects it', () => {
    const bridge = aBridge({ address: '0000:00:01.0', iommuGroup: 9 });
    expect(text({ devices: [bridge], policies: [aPolicy({ name: 'p', devices: [{ class: '06' }] })] })).toBe(
      '0000:00:01.0 Refused Bridge (p)',
    );
  });

  test('what is on VFIO, or has an override, without us is not ours', () => {
    expect(refused({ devices: [onVfio(nic)] })).toBe('0000:01:00.0 Refused NotOurs (p)');
    const foreign = { ...nic, guarded: { driverOverride: 'uio_pci_generic', autoprobe: null } };
    expect(refused({ devices: [foreign] })).toBe('0000:01:00.0 Refused NotOurs (p)');
  });

  test('an adopted device is taken into the ledger as it is', () => {
    const policies = [{ ...takeNics, allow: ['NotOurs'] as const }];
    const result = plan(aPlanInput({ devices: [onVfio(nic)], policies }));
    expect(renderPlan(result)).toBe('0000:01:00.0 Bind (p)\nBind group:1');
    expect(result.transactions[0]?.members[0]?.adopted).toBe(true);
  });

  test('an unread driver_override is unproven', () => {
    expect(refused({ devices: [{ ...nic, guarded: null }] })).toBe('0000:01:00.0 Refused Unproven (p)');
  });

  test('a PF with VFs', () => {
    const vf = aDevice({ address: '0000:01:10.0', physicalFunction: nic.address, iommuGroup: 7, driver: null });
    const pf = { ...nic, virtualFunctions: [vf.address], totalVirtualFunctions: 7 };
    const policies = [aPolicy({ name: 'p', devices: [{ addresses: [pf.address] }] })];
    expect(text({ devices: [pf, vf], policies })).toBe('0000:01:00.0 Refused PfHasVfs (p)');
  });

  test('requireVariant without a variant, a missing module, a blacklisted one', () => {
    const variant = [{ ...takeNics, driver: { ...takeNics.driver, requireVariant: true } }];
    expect(text({ devices: [nic], policies: variant })).toMatch(/NoDriver/);
    const missing = aCatalog([{ name: 'vfio_pci', state: 'Missing' }]);
    expect(refused({ devices: [nic], catalog: missing })).toMatch(/ModuleMissing/);
    const blacklisted = aCatalog([{ name: 'vfio_pci', blacklistedBy: '/etc/modprobe.d/x.conf:3' }]);
    expect(refused({ devices: [nic], catalog: blacklisted })).toMatch(/NoDriver/);
    const forbidden = { ...aCatalog([{ name: 'vfio_pci', state: 'Available' }]), mayLoad: false };
    const result = plan(aPlanInput({ devices: [nic], policies: [takeNics], catalog: forbidden }));
    expect(result.decisions[0]?.message).toMatch(/modules-load\.d.*Talos/);
  });

  test('deviceNodes that the kernel cannot give', () => {
    const policies = [{ ...takeNics, resource: aResource('x.io/nic', { deviceNodes: 'Iommufd' }) }];
    expect(text({ devices: [nic], policies })).toBe('0000:01:00.0 Refused NoDeviceNode (p)');
  });
});

describe('competition', () => {
  test('priority, then age, then name; the loser is named', () => {
    const a = aPolicy({ name: 'a', createdAt: 2000, devices: [{ vendor: '8086' }] });
    const b = aPolicy({ name: 'b', createdAt: 1000, devices: [{ vendor: '8086' }] });
    const c = aPolicy({ name: 'c', createdAt: 3000, priority: 1, devices: [{ vendor: '8086' }] });
    const [decision] = plan(aPlanInput({ devices: [nic], policies: [a, b, c] })).decisions;
    expect(decision?.policy).toBe('c');
    expect(decision?.losers).toEqual([
      { policy: 'b', why: 'policy c has priority 1, b has 0' },
      { policy: 'a', why: 'policy c has priority 1, a has 0' },
    ]);
    expect(plan(aPlanInput({ devices: [nic], policies: [a, b] })).decisions[0]?.policy).toBe('b');
  });

  test('two policies that share a resource must agree', () => {
    const a = aPolicy({ name: 'a', devices: [{ vendor: '8086' }], resource: aResource('x.io/nic') });
    const b = aPolicy({
      name: 'b',
      devices: [{ vendor: '10de' }],
      resource: aResource('x.io/nic', { unit: 'Function' }),
    });
    const gpu = aDevice({ address: '0000:05:00.0', vendor: '10de', iommuGroup: 5 });
    const result = plan(aPlanInput({ devices: [nic, gpu], policies: [a, b] }));
    expect(result.decisions.map((decision) => [decision.kind, decision.code])).toEqual([
      ['Bind', null],
      ['Refused', 'Conflict'],
    ]);
    expect(result.policyProblems[0]?.policy).toBe('b');
  });

  test('two names that become one variable are refused', () => {
    const a = aPolicy({ name: 'a', devices: [{ vendor: '8086' }], resource: aResource('a.b/c') });
    const b = aPolicy({ name: 'b', devices: [{ vendor: '10de' }], resource: aResource('a/b.c') });
    expect(plan(aPlanInput({ policies: [a, b] })).policyProblems[0]?.message).toMatch(/PCI_RESOURCE_A_B_C/);
  });

  test('a policy for other nodes does not count', () => {
    const policies = [{ ...takeNics, nodeSelector: { matchLabels: { gpu: 'yes' }, matchExpressions: [] } }];
    expect(text({ devices: [nic], policies })).toBe('');
  });
});

describe('release', () => {
  const bound = onVfio(nic);
  const ledger = aLedger([anEntry(bound)]);

  test('a device nobody wants goes back to its driver', () => {
    expect(text({ devices: [bound], ledger })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: drivers_probe (expect e1000e)`,
    );
  });

  test('not seeing the policy is not none', () => {
    const policies = { complete: false, policies: [], why: 'the directory is not readable' };
    expect(text({ devices: [bound], ledger, policies })).toBe('0000:01:00.0 Bound (p)');
  });

  test('onDelete Retain leaves it bound', () => {
    const retain = aLedger([anEntry(bound, { onDelete: 'Retain' })]);
    expect(text({ devices: [bound], ledger: retain })).toBe('0000:01:00.0 Release (p)\nRelease group:1');
    const retained = aLedger([anEntry(bound, { onDelete: 'Retain', retained: true })]);
    expect(text({ devices: [bound], ledger: retained })).toBe('0000:01:00.0 Ignored (p)');
  });

  test('an adopted device is left without driver', () => {
    const adopted = aLedger([anEntry(bound, { adopted: true, originalDriver: 'vfio-pci' })]);
    expect(text({ devices: [bound], ledger: adopted })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci`,
    );
  });

  test('an override that named another driver is set again last', () => {
    const forced = aLedger([anEntry(bound, { originalOverride: 'pci-stub' })]);
    expect(text({ devices: [bound], ledger: forced })).toBe(
      `0000:01:00.0 Release (p)
Release group:1
  0000:01:00.0: clear driver_override
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: drivers_probe (expect e1000e)
  0000:01:00.0: driver_override = pci-stub`,
    );
    const own = aLedger([anEntry(bound, { originalOverride: 'e1000e' })]);
    expect(text({ devices: [bound], ledger: own })).toMatch(/driver_override = e1000e\n.*unbind.*\n.*drivers_probe.*$/);
  });

  test('a record of another boot or another device is not acted on', () => {
    expect(text({ devices: [nic], ledger: aLedger([anEntry(bound, { bootId: 'other' })]) })).toBe('');
    expect(text({ devices: [nic], ledger: aLedger([anEntry(bound, { modalias: 'pci:other' })]) })).toBe('');
  });

  test('a group that cannot be used any more is given back', () => {
    const audio = aDevice({
      address: '0000:01:00.1',
      device: '10d4',
      classCode: '040300',
      driver: 'snd_hda_intel',
      iommuGroup: 1,
    });
    expect(text({ devices: [bound, audio], policies: [takeNics], ledger }).split('\n')[0]).toBe(
      '0000:01:00.0 Release (p)',
    );
  });
});

describe('holds', () => {
  const bound = onVfio(nic);
  const ledger = aLedger([anEntry(bound)]);
  const holder = { address: bound.address, code: 'HeldByPod' as const, who: 'default/vm (compute)' };

  test('a held device is not released, and a bound one that stays is not held', () => {
    const inUse = { holders: [holder], unreadable: null };
    expect(text({ devices: [bound], ledger, inUse })).toBe('0000:01:00.0 Held HeldByPod (p)');
    expect(text({ devices: [bound], ledger, inUse, policies: [takeNics] })).toBe('0000:01:00.0 Bound (p)');
  });

  test('unreadable PodResources count as use of what is on VFIO, not of what is not', () => {
    const inUse = { holders: [], unreadable: 'no socket' };
    expect(text({ devices: [bound], ledger, inUse })).toBe('0000:01:00.0 Held PodResourcesUnreadable (p)');
    expect(text({ devices: [nic], policies: [takeNics], inUse })).toMatch(/^0000:01:00.0 Bind/);
  });

  test('nothing is written beside a holder', () => {
    const sibling = aDevice({ address: '0000:01:00.1', iommuGroup: 1 });
    const inUse = { holders: [{ ...holder, code: 'HeldByProcess' as const }], unreadable: null };
    expect(text({ devices: [bound, sibling], ledger, inUse, policies: [takeNics] })).toBe(
      '0000:01:00.0 Bound (p)\n0000:01:00.1 Held HeldByProcess (p)',
    );
  });

  test('a stuck or quarantined member holds the rest of its group', () => {
    const sibling = aDevice({ address: '0000:01:00.1', iommuGroup: 1 });
    for (const state of ['Stuck', 'Quarantined'] as const) {
      const blocked = aLedger([anEntry(bound, { state, detail: 'unbind has not returned' })]);
      expect(text({ devices: [bound, sibling], ledger: blocked, policies: [takeNics] })).toBe(
        `0000:01:00.0 ${state} ${state} (p)\n0000:01:00.1 Held ${state} (p)`,
      );
    }
  });

  test('a change of resource waits for the holder, a change of policy alone does not', () => {
    const inUse = { holders: [holder], unreadable: null };
    const other = { ...takeNics, resource: aResource('x.io/other') };
    expect(text({ devices: [bound], ledger, inUse, policies: [other] })).toBe('0000:01:00.0 Held HeldByPod (p)');
    const renamed = { ...takeNics, name: 'q' };
    expect(text({ devices: [bound], ledger, inUse, policies: [renamed] })).toBe('0000:01:00.0 Bound (q)\nBind group:1');
  });

  test('a failed transaction waits for its back-off', () => {
    const failures = new Map([['group:1', { message: 'bind said EIO', due: false }]]);
    expect(text({ devices: [nic], policies: [takeNics], failures })).toBe('0000:01:00.0 Failed (p)');
    const due = new Map([['group:1', { message: 'bind said EIO', due: true }]]);
    expect(text({ devices: [nic], policies: [takeNics], failures: due })).toMatch(/^0000:01:00.0 Bind/);
  });
});

describe('DryRun', () => {
  test('claims nothing and reports what it would do', () => {
    const dry = { ...takeNics, mode: 'DryRun' as const };
    const result = plan(aPlanInput({ devices: [nic], policies: [dry] }));
    expect(renderPlan(result)).toBe('');
    expect(result.dryRun.map((decision) => [decision.address, decision.kind])).toEqual([[nic.address, 'Bind']]);
  });

  test('from Enforce to DryRun freezes', () => {
    const bound = onVfio(nic);
    const dry = { ...takeNics, mode: 'DryRun' as const };
    const rival = aPolicy({ name: 'rival', priority: 9, devices: [{ vendor: '8086' }] });
    const ledger = aLedger([anEntry(bound)]);
    expect(text({ devices: [bound], policies: [dry, rival], ledger })).toBe('0000:01:00.0 Bound (p)');
    const rebooted = aLedger([anEntry(bound, { bootId: 'before' })]);
    expect(text({ devices: [nic], policies: [dry, rival], ledger: rebooted })).toBe('0000:01:00.0 Ignored (p)');
  });
});

describe('virtual functions', () => {
  const pf = aDevice({
    address: '0000:04:00.0',
    device: '10c9',
    iommuGroup: 4,
    totalVirtualFunctions: 7,
    driver: 'igb',
  });
  const makeVfs = aPolicy({
    name: 'vfs',
    devices: [{ device: '10c9' }],
    virtualFunctions: 2,
    resource: aResource('x.io/vf'),
  });
  const vf = (index: number): Device =>
    aDevice({
      address: `0000:04:10.${index}`,
      device: '10ca',
      iommuGroup: 40 + index,
      driver: null,
      physicalFunction: pf.address,
    });
  const withVfs = { ...pf, virtualFunctions: ['0000:04:10.0', '0000:04:10.1'] };

  test('autoprobe off, make, autoprobe on', () => {
    expect(text({ devices: [pf], policies: [makeVfs] })).toBe(
      `0000:04:00.0 Bind PhysicalFunction (vfs)
CreateVirtualFunctions pf:0000:04:00.0
  0000:04:00.0: sriov_drivers_autoprobe = 0
  0000:04:00.0: sriov_numvfs = 2
  0000:04:00.0: sriov_drivers_autoprobe = 1`,
    );
  });

  test('the VFs are then bound, the PF keeps its driver', () => {
    const lines = text({ devices: [withVfs, vf(0), vf(1)], policies: [makeVfs] }).split('\n');
    expect(lines.slice(0, 3)).toEqual([
      '0000:04:00.0 Bound PhysicalFunction (vfs)',
      '0000:04:10.0 Bind (vfs)',
      '0000:04:10.1 Bind (vfs)',
    ]);
  });

  test('fewer VFs than wanted, and too many wanted', () => {
    const three = { ...makeVfs, virtualFunctions: 3 };
    expect(text({ devices: [withVfs, vf(0), vf(1)], policies: [three] })).toMatch(/^0000:04:00.0 Refused PfHasVfs/);
    expect(text({ devices: [pf], policies: [{ ...makeVfs, virtualFunctions: 9 }] })).toBe(
      '0000:04:00.0 Failed PhysicalFunction (vfs)',
    );
  });

  test('a PF the node lives on needs to be allowed', () => {
    const findings = [{ address: pf.address, code: 'PrimaryNetwork' as const, proof: 'x' }];
    expect(text({ devices: [pf], policies: [makeVfs], findings })).toMatch(/Refused PrimaryNetwork/);
    const allowed = { ...makeVfs, allow: ['PrimaryNetwork'] as const };
    expect(text({ devices: [pf], policies: [allowed], findings })).toMatch(/ Bind PhysicalFunction/);
    const data = [{ address: pf.address, code: 'StorageHasData' as const, proof: 'x' }];
    expect(text({ devices: [pf], policies: [makeVfs], findings: data })).toMatch(/ Bind PhysicalFunction/);
  });

  test('VFs we made go together, once all are free', () => {
    const bound = [onVfio(vf(0)), onVfio(vf(1))];
    const record = { previousCount: 0, count: 2, autoprobe: true };
    const ledger = aLedger([
      anEntry(pf, { role: 'PhysicalFunction', driver: null, module: null, policy: 'vfs', virtualFunctions: record }),
      ...bound.map((device) => anEntry(device, { policy: 'vfs', originalDriver: null })),
    ]);
    expect(text({ devices: [withVfs, ...bound], ledger })).toBe(
      `0000:04:00.0 Release PhysicalFunction (vfs)
0000:04:10.0 Release (vfs)
0000:04:10.1 Release (vfs)
RemoveVirtualFunctions pf:0000:04:00.0
  0000:04:00.0: sriov_numvfs = 0`,
    );
    const inUse = {
      holders: [{ address: '0000:04:10.1', code: 'HeldByPod' as const, who: 'default/vm (compute)' }],
      unreadable: null,
    };
    expect(text({ devices: [withVfs, ...bound], ledger, inUse }).split('\n')).toEqual([
      '0000:04:00.0 Held HeldByPod PhysicalFunction (vfs)',
      '0000:04:10.0 Held HeldByPod (vfs)',
      '0000:04:10.1 Held HeldByPod (vfs)',
    ]);
  });
});

test('the answer does not depend on the order of anything', () => {
  const gpu = aDevice({ address: '0000:05:00.0', vendor: '10de', iommuGroup: 5, driver: null });
  const a = aPolicy({ name: 'a', devices: [{ vendor: '8086' }] });
  const b = aPolicy({ name: 'b', devices: [{ vendor: '10de' }, { vendor: '8086' }] });
  expect(text({ devices: [gpu, nic], policies: [b, a] })).toBe(text({ devices: [nic, gpu], policies: [a, b] }));
});

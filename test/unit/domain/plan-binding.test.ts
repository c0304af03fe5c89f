// What is bound and with which steps, and which policy gets a device that several want.
import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/domain/plan.ts';
import { aCatalog, aDevice, aLedger, anEntry, aPlanInput, aPolicy, aResource } from '../../support/builders.ts';
import { nic, onVfio, takeNics, planText } from '../../support/plan-cases.ts';
import { renderPlan } from '../../support/render-plan.ts';

describe('binding', () => {
  test('override before unbind, then the bind file of the driver', () => {
    expect(planText({ devices: [nic], policies: [takeNics] })).toBe(
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
    expect(planText({ devices: [vf], policies, catalog })).toBe(
      `0000:02:00.1 Bind (p)
Bind group:2
  modprobe mlx5_vfio_pci
  0000:02:00.1: driver_override = the driver of module mlx5_vfio_pci
  0000:02:00.1: bind to the driver of module mlx5_vfio_pci`,
    );
  });

  test('a device on its driver by our hand needs nothing', () => {
    const bound = onVfio(nic);
    expect(planText({ devices: [bound], policies: [takeNics], ledger: aLedger([anEntry(bound)]) })).toBe(
      '0000:01:00.0 Bound (p)',
    );
  });

  test('what the policy does not select is left alone', () => {
    expect(planText({ devices: [nic], policies: [aPolicy({ name: 'p', devices: [{ vendor: '10de' }] })] })).toBe('');
  });

  test('exclude wins over devices', () => {
    const policies = [aPolicy({ name: 'p', devices: [{ vendor: '8086' }], exclude: [{ addresses: [nic.address] }] })];
    expect(planText({ devices: [nic], policies })).toBe('');
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
    expect(planText({ devices: [bound], policies, ledger: aLedger([anEntry(bound)]) })).toBe(
      `0000:01:00.0 Bind (p)
ChangeDriver group:1
  0000:01:00.0: driver_override = mlx5_vfio_pci
  0000:01:00.0: unbind from vfio-pci
  0000:01:00.0: bind to mlx5_vfio_pci`,
    );
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

  test.each([
    ['unit', { unit: 'Function' }],
    ['deviceNodes', { deviceNodes: 'Cdev' }],
    ['allocation', { allocation: 'SpreadPhysicalFunctions' }],
    ['environment', { environment: ['KubeVirt', 'SriovNetwork'] }],
    ['cdi', { cdi: true }],
  ] as const)('they must agree on %s', (field, parts) => {
    const resource = aResource('x.io/nic', { environment: ['SriovNetwork'], ...parts });
    const policy = (name: string, mine: typeof resource) =>
      aPolicy({ name, devices: [{ vendor: '8086' }], resource: mine });
    const other = aResource('x.io/nic', { environment: ['SriovNetwork'] });
    const problems = (a: typeof resource, b: typeof resource) =>
      plan(aPlanInput({ policies: [policy('a', a), policy('b', b)] })).policyProblems;
    expect(problems(other, resource)).toEqual([
      {
        policy: 'b',
        code: 'Conflict',
        message: `resource x.io/nic has another ${field} in policy a; policies that share a resource must agree on all its fields`,
      },
    ]);
    expect(problems(resource, resource)).toEqual([]);
  });

  test('a policy that only rehearses pushes nobody into a conflict, but is told of its own', () => {
    const standing = aPolicy({ name: 'standing', devices: [{ vendor: '8086' }], resource: aResource('x.io/nic') });
    const rehearsal = aPolicy({
      name: 'rehearsal',
      mode: 'DryRun',
      devices: [{ vendor: '10de' }],
      resource: aResource('x.io/nic', { cdi: true }),
    });
    for (const priority of [9, -9]) {
      const input = aPlanInput({ devices: [nic], policies: [standing, { ...rehearsal, priority }] });
      expect(renderPlan(plan(input))).toMatch(/^0000:01:00.0 Bind \(standing\)/);
    }
    const { policyProblems } = plan(aPlanInput({ policies: [standing, { ...rehearsal, priority: -9 }] }));
    expect(policyProblems.map(({ policy }) => policy)).toEqual(['rehearsal']);
  });

  test('two names that become one variable are refused', () => {
    const a = aPolicy({ name: 'a', devices: [{ vendor: '8086' }], resource: aResource('a.b/c') });
    const b = aPolicy({ name: 'b', devices: [{ vendor: '10de' }], resource: aResource('a/b.c') });
    expect(plan(aPlanInput({ policies: [a, b] })).policyProblems[0]?.message).toMatch(/PCI_RESOURCE_A_B_C/);
  });

  test('a policy for other nodes does not count', () => {
    const policies = [{ ...takeNics, nodeSelector: { matchLabels: { gpu: 'yes' }, matchExpressions: [] } }];
    expect(planText({ devices: [nic], policies })).toBe('');
  });
});

test('the answer does not depend on the order of anything', () => {
  const gpu = aDevice({ address: '0000:05:00.0', vendor: '10de', iommuGroup: 5, driver: null });
  const a = aPolicy({ name: 'a', devices: [{ vendor: '8086' }] });
  const b = aPolicy({ name: 'b', devices: [{ vendor: '10de' }, { vendor: '8086' }] });
  expect(planText({ devices: [gpu, nic], policies: [b, a] })).toBe(planText({ devices: [nic, gpu], policies: [a, b] }));
});

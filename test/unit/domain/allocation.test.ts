import { describe, expect, it } from 'vitest';
import {
  buildAllocation,
  deviceNodes,
  namedAddress,
  variableName,
  variableNames,
} from '../../../src/domain/allocation.ts';
import { aFunction, aPool, anAdvertised } from '../../support/pools.ts';

describe('variable names', () => {
  it.each([
    ['KubeVirt', 'vfio-operator.dev/connectx7-vf', 'PCI_RESOURCE_VFIO-OPERATOR_DEV_CONNECTX7-VF'],
    ['KubeVirt', 'nvidia.com/GA102GL_A10', 'PCI_RESOURCE_NVIDIA_COM_GA102GL_A10'],
    ['SriovNetwork', 'vfio-operator.dev/connectx7-vf', 'PCIDEVICE_VFIO_OPERATOR_DEV_CONNECTX7_VF'],
    ['SriovNetwork', 'a.b/c.d_e', 'PCIDEVICE_A_B_C_D_E'],
  ] as const)('%s makes of %s %s', (style, resource, name) => {
    expect(variableName(style, resource)).toBe(name);
  });

  it('are all found, sorted', () => {
    expect(variableNames('a.b/c', ['SriovNetwork', 'KubeVirt'])).toEqual([
      'PCIDEVICE_A_B_C',
      'PCIDEVICE_A_B_C_INFO',
      'PCI_RESOURCE_A_B_C',
    ]);
    expect(variableNames('a.b/c', [])).toEqual([]);
  });

  it('fall together where slash and dot change places, or where one is named as the information of another', () => {
    expect(variableNames('a.b/c', ['KubeVirt'])).toEqual(variableNames('a/b.c', ['KubeVirt']));
    expect(variableNames('a/b', ['SriovNetwork'])).toContain(variableName('SriovNetwork', 'a/b-info'));
  });
});

const gpu = anAdvertised('0000:3b:00.0', {
  iommuGroup: 12,
  groupNode: '12',
  functions: [
    aFunction('0000:3b:00.0', { vfioDevice: 'vfio0' }),
    aFunction('0000:3b:00.1', { selected: false, vfioDevice: 'vfio1' }),
  ],
});
const nic = anAdvertised('0000:65:00.0', { iommuGroup: 20, groupNode: '20' });

describe('an allocation', () => {
  it('names one address per unit, in the order asked, and never a companion', () => {
    expect(buildAllocation(aPool([gpu, nic]), [nic, gpu])).toEqual({
      environment: { 'PCI_RESOURCE_VFIO-OPERATOR_DEV_GPU': '0000:65:00.0,0000:3b:00.0' },
      nodes: [
        { path: '/dev/vfio/vfio', permissions: 'mrw' },
        { path: '/dev/vfio/20', permissions: 'mrw' },
        { path: '/dev/vfio/12', permissions: 'mrw' },
        { path: '/dev/vfio/devices/vfio0', permissions: 'mrw' },
      ],
    });
  });

  it('names the lowest of several selected functions', () => {
    const functions = [aFunction('0000:3b:00.1'), aFunction('0000:3b:00.0')];
    expect(namedAddress({ ...gpu, functions })).toBe('0000:3b:00.0');
    expect(namedAddress({ ...gpu, functions: [] })).toBe(gpu.id);
  });

  it('informs as the SR-IOV network device plugin does', () => {
    const pool = aPool([nic], { resource: 'a.b/c', environment: ['SriovNetwork'] });
    expect(buildAllocation(pool, [nic])).toMatchObject({
      environment: {
        PCIDEVICE_A_B_C: '0000:65:00.0',
        PCIDEVICE_A_B_C_INFO:
          '{"0000:65:00.0":{"generic":{"deviceID":"0000:65:00.0"},"vfio":{"dev-mount":"/dev/vfio/20","mount":"/dev/vfio/vfio"}}}',
      },
    });
  });

  it('informs without a group node where there is none', () => {
    const bare = { ...gpu, groupNode: null };
    const pool = aPool([bare], { resource: 'a/c', environment: ['SriovNetwork'], deviceNodes: 'Cdev' });
    expect(buildAllocation(pool, [bare])).toMatchObject({
      environment: {
        PCIDEVICE_A_C_INFO:
          '{"0000:3b:00.0":{"generic":{"deviceID":"0000:3b:00.0"},"vfio":{"mount":"/dev/vfio/vfio"}}}',
      },
    });
  });

  it('gives a no-IOMMU group its own node', () => {
    const noIommu = anAdvertised('0000:65:00.0', { iommuGroup: null, groupNode: 'noiommu-0' });
    expect(deviceNodes(noIommu, 'Group')).toEqual({
      nodes: [
        { path: '/dev/vfio/vfio', permissions: 'mrw' },
        { path: '/dev/vfio/noiommu-0', permissions: 'mrw' },
      ],
    });
  });

  it.each([
    ['Auto', ['/dev/vfio/vfio', '/dev/vfio/12', '/dev/vfio/devices/vfio0']],
    ['Group', ['/dev/vfio/vfio', '/dev/vfio/12']],
    ['Cdev', ['/dev/vfio/devices/vfio0']],
    ['Iommufd', ['/dev/iommu', '/dev/vfio/devices/vfio0']],
  ] as const)('gives the nodes of %s', (wanted, paths) => {
    const found = deviceNodes(gpu, wanted);
    expect('nodes' in found && found.nodes.map((node) => node.path)).toEqual(paths);
  });

  it.each([
    ['Auto', { ...nic, groupNode: null }, '0000:65:00.0 has no group node under /dev/vfio'],
    ['Group', { ...nic, groupNode: null }, '0000:65:00.0 has no group node under /dev/vfio'],
    ['Cdev', nic, '0000:65:00.0 has no cdev under /dev/vfio/devices'],
    ['Iommufd', nic, '0000:65:00.0 has no cdev under /dev/vfio/devices'],
    ['Cdev', { ...nic, functions: [] }, '0000:65:00.0 has no cdev under /dev/vfio/devices'],
    [
      'Cdev',
      { ...gpu, functions: [...gpu.functions, aFunction('0000:3b:00.2')] },
      '0000:3b:00.2 has no cdev under /dev/vfio/devices',
    ],
  ] as const)('says what the kernel lacks for %s', (wanted, device, missing) => {
    expect(buildAllocation(aPool([device], { deviceNodes: wanted }), [device])).toEqual({ missing });
  });

  it('gives no node twice', () => {
    const two = aPool([gpu, nic], { deviceNodes: 'Iommufd' });
    const other = { ...nic, functions: [aFunction('0000:65:00.0', { vfioDevice: 'vfio7' })] };
    const answer = buildAllocation(two, [gpu, other]);
    expect('nodes' in answer && answer.nodes.map((node) => node.path)).toEqual([
      '/dev/iommu',
      '/dev/vfio/devices/vfio0',
      '/dev/vfio/devices/vfio7',
    ]);
  });
});

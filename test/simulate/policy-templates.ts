// The policies that people write in a simulated history, as documents. They fit the kinds of devices that random nodes have.

import type { JsonObject } from '../../src/simulation/api-server-merge.ts';

/** A policy's `spec`, as in a file. */
export type PolicySpec = JsonObject;

const classes = [{ class: '02' }, { class: '0108' }, { class: '03' }, { class: '00' }];
const resource = (name: string, unit: string): PolicySpec => ({ name: `sim.example/${name}`, unit });

/** Names and the versions a policy of that name may have. */
export const policyTemplates: Readonly<Record<string, readonly PolicySpec[]>> = {
  all: [
    { devices: classes, iommuGroup: 'BindCompanions', resource: resource('any', 'Group') },
    { devices: classes, iommuGroup: 'BindCompanions' },
    { devices: classes, resource: resource('any', 'Function') },
    { devices: classes, iommuGroup: 'BindCompanions', mode: 'DryRun', resource: resource('any', 'Group') },
    {
      devices: classes,
      iommuGroup: 'BindCompanions',
      driver: { name: 'vfio-pci' },
      resource: resource('any', 'Group'),
    },
  ],
  nics: [
    {
      priority: 3,
      devices: [{ vendor: '8086', device: '10d3' }],
      iommuGroup: 'BindCompanions',
      resource: resource('nic', 'Function'),
    },
    { priority: 3, devices: [{ vendor: '8086', device: '10d3' }], resource: resource('nic', 'Group') },
    { priority: 3, devices: [{ vendor: '8086', device: '10d3' }], driver: { requireVariant: true } },
  ],
  disks: [
    { priority: 2, devices: [{ class: '0108' }], resource: resource('disk', 'Group') },
    { priority: 2, devices: [{ class: '0108' }], iommuGroup: 'BindCompanions', allow: ['StorageHasData'] },
  ],
  gpus: [
    { priority: 4, devices: [{ vendor: '10de' }], iommuGroup: 'BindCompanions', resource: resource('gpu', 'Group') },
    { priority: 4, devices: [{ vendor: '10de', class: '03' }], resource: resource('gpu', 'Function') },
  ],
  vfs: [
    {
      priority: 5,
      devices: [{ vendor: '15b3', device: '101d' }],
      sriov: { virtualFunctions: 2 },
      resource: resource('vf', 'Function'),
    },
    { priority: 5, devices: [{ vendor: '15b3', device: '101d' }], sriov: { virtualFunctions: 3 } },
  ],
};

/** The whole document. */
export function policyDocument(name: string, spec: PolicySpec): JsonObject {
  return { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioPolicy', metadata: { name }, spec };
}

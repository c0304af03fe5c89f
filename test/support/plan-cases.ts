// What the planner's tests have in common: one network card, the policy that takes it, and the plan as text.
import type { Device } from '../../src/domain/device.ts';
import { plan } from '../../src/domain/plan.ts';
import { aDevice, aPlanInput, aPolicy } from './builders.ts';
import { renderPlan } from './render-plan.ts';

/** A network card on e1000e, alone in its IOMMU group. */
export const nic = aDevice({ address: '0000:01:00.0', iommuGroup: 1 });

/** The device as it is once we have bound it. */
export const onVfio = (device: Device): Device => ({
  ...device,
  driver: 'vfio-pci',
  vfioDevice: 'vfio0',
  guarded: { driverOverride: 'vfio-pci', autoprobe: null },
});

/** Takes all cards like `nic`. */
export const takeNics = aPolicy({ name: 'p', devices: [{ vendor: '8086', device: '10d3' }] });

/** The plan of an input, as text. */
export const planText = (parts: Parameters<typeof aPlanInput>[0]): string => renderPlan(plan(aPlanInput(parts)));

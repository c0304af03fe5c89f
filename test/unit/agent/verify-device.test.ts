// What was offered is held against the host at the moment it is needed: the numbers of groups and cdevs go to others once they are free.
import { describe, expect, it } from 'vitest';
import { createVerifyDevice } from '../../../src/agent/verify-device.ts';
import type { AdvertisedDevice, AdvertisedFunction } from '../../../src/domain/resource-pool.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { aDevice, aLedger, anEntry } from '../../support/builders.ts';
import { anAdvertised } from '../../support/node-state-input.ts';

const address = '0000:01:00.0';
const directory = `/sys/bus/pci/devices/${address}`;
const offered: AdvertisedFunction = { address, driver: 'vfio-pci', selected: true, vfioDevice: 'vfio3' };
const inGroup = anAdvertised(address, { iommuGroup: 12, groupNode: '12' });

function verify(
  host: { readonly driver?: string; readonly group?: string; readonly cdev?: string },
  fn = offered,
  device: AdvertisedDevice = inGroup,
): string | null {
  const { driver = 'vfio-pci', group = '12', cdev = 'vfio3' } = host;
  const files = createMemoryFiles({
    entries: {
      [`${directory}/driver`]: { link: `../../bus/pci/drivers/${driver}` },
      [`${directory}/iommu_group`]: { link: `../../kernel/iommu_groups/${group}` },
      [`${directory}/vfio-dev/${cdev}`]: { directory: {} },
    },
  });
  const ledger = aLedger([anEntry(aDevice({ address, driver: 'vfio-pci' }))]);
  return createVerifyDevice(files, hostPaths(), () => ledger)(fn, device);
}

describe('a device that was offered', () => {
  it('is what it was', () => {
    expect(verify({})).toBeNull();
  });

  it('is on another driver, or in another group', () => {
    expect(verify({ driver: 'igb' })).toBe(`${address} is on igb now, was on vfio-pci`);
    expect(verify({ group: '7' })).toBe(`${address} is in IOMMU group 7 now, was in 12`);
  });

  it('has another cdev, whose old number is another device by now', () => {
    expect(verify({ cdev: 'vfio0' })).toBe(`${address} has the cdev vfio0 now, had vfio3`);
  });

  it('has no node for its cdev, so its number matters to nobody', () => {
    expect(verify({ cdev: 'vfio0' }, { ...offered, vfioDevice: null })).toBeNull();
  });

  it('is, without an IOMMU, in the group whose node it was offered with', () => {
    const bare = anAdvertised(address, { iommuGroup: null, groupNode: 'noiommu-12' });
    expect(verify({}, offered, bare)).toBeNull();
    expect(verify({ group: '13' }, offered, bare)).toBe(`${address} is in IOMMU group 13 now, was in 12`);
  });

  it('is not ours any more', () => {
    expect(verify({}, { ...offered, address: '0000:02:00.0' })).toBe('0000:02:00.0 is not ours any more');
  });
});

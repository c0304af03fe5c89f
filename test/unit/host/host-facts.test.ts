import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { readIommuEvidence } from '../../../src/host/iommu-evidence.ts';
import { findKernelRelease, KernelReleaseUnknown } from '../../../src/host/kernel-release.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';

describe('paths of a host', () => {
  it('lie under its root', () => {
    expect(hostPaths().kind).toBe('live');
    expect(hostPaths().device('pci', '0000:01:00.0')).toBe('/sys/bus/pci/devices/0000:01:00.0');
    expect(hostPaths('/host/')).toMatchObject({ kind: 'mounted', root: '/host', mounts: '/host/proc/1/mountinfo' });
    expect(hostPaths('/host/').at('/dev/sda')).toBe('/host/dev/sda');
    expect(hostPaths('/', 'copy').kind).toBe('copy');
    expect(hostPaths('copy', 'copy').vfioGroup(7)).toBe('copy/dev/vfio/7');
  });
});

describe('the kernel release of a copy', () => {
  const paths = hostPaths('/copy', 'copy');

  it('is the one asked for, then the one its /proc tells, then the only one it has modules of', () => {
    const files = createMemoryFiles();
    files.put('/copy/lib/modules/6.1.0-18-amd64/modules.dep', '');
    files.put('/copy/lib/modules/README', '');
    files.put('/copy/lib/modules/gone', { link: '/nowhere' });
    expect(findKernelRelease(files, paths, null)).toBe('6.1.0-18-amd64');
    files.put('/copy/proc/sys/kernel/osrelease', '6.12.9\n');
    expect(findKernelRelease(files, paths, null)).toBe('6.12.9');
    expect(findKernelRelease(files, paths, '5.10.0')).toBe('5.10.0');
  });

  it('is found on hosts that have /usr/lib alone, and once where both are the same', () => {
    const files = createMemoryFiles();
    files.put('/copy/usr/lib/modules/6.1.0/modules.dep', '');
    expect(findKernelRelease(files, paths, null)).toBe('6.1.0');
    files.put('/copy/lib', { link: 'usr/lib' });
    expect(findKernelRelease(files, paths, null)).toBe('6.1.0');
  });

  it('is an error that lists what there is', () => {
    const files = createMemoryFiles();
    expect(() => findKernelRelease(files, paths, null)).toThrow(KernelReleaseUnknown);
    files.put('/copy/lib/modules/6.1.0/modules.dep', '');
    files.put('/copy/lib/modules/6.12.0/modules.dep', '');
    expect(() => findKernelRelease(files, paths, null)).toThrow('/copy/lib/modules holds 6.1.0, 6.12.0');
  });
});

describe('evidence of an IOMMU', () => {
  const read = (entries: Readonly<Record<string, string>>) =>
    readIommuEvidence(createMemoryFiles({ entries }), hostPaths());

  it('is its units, the parameters and the remapped interrupts', () => {
    expect(
      read({
        '/sys/class/iommu/dmar1/x': '',
        '/sys/class/iommu/dmar0/x': '',
        '/proc/cmdline': 'ro intel_iommu=on iommu=pt quiet arm-smmu.disable_bypass=0 intremap=off root=/dev/iommu\n',
        '/proc/interrupts': ' 24:  0  0  IR-PCI-MSI 524288-edge  nvme0q0\n',
        '/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts': 'N\n',
      }),
    ).toEqual({
      units: ['dmar0', 'dmar1'],
      interruptRemapping: true,
      unsafeInterrupts: false,
      parameters: ['intel_iommu=on', 'iommu=pt', 'arm-smmu.disable_bypass=0', 'intremap=off'],
    });
  });

  it('is nothing where nothing is shown', () => {
    expect(read({})).toEqual({ units: [], interruptRemapping: null, unsafeInterrupts: null, parameters: [] });
    expect(read({ '/proc/interrupts': ' 24:  0  PCI-MSI 524288-edge\n' }).interruptRemapping).toBe(false);
    expect(read({ '/proc/interrupts': ' 24:  0  ITS-MSI 0 Edge\n' }).interruptRemapping).toBeNull();
  });
});

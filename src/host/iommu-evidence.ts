// What the host shows about its IOMMU beyond the groups themselves: it tells "there is none" from "it is there and switched off",
// and whether a VM could be given interrupts. Hints for people; no decision rests on them.
import type { Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { createSysfs } from './sysfs.ts';

export interface IommuEvidence {
  /** IOMMUs the kernel drives, from /sys/class/iommu, e.g. `dmar0`, `ivhd0`, `smmu3.0x...`. */
  readonly units: readonly string[];
  /**
   * Whether interrupts are remapped; VFIO refuses devices to user space without, unless `unsafeInterrupts`. x86 shows it in the
   * names of the interrupt chips (`IR-PCI-MSI`); null where nothing shows it.
   */
  readonly interruptRemapping: boolean | null;
  /** vfio_iommu_type1's allow_unsafe_interrupts is Y; null while that module is not there. */
  readonly unsafeInterrupts: boolean | null;
  /** Parameters of the kernel command line that concern the IOMMU, as given. */
  readonly parameters: readonly string[];
}

/** Reads it; what cannot be read is empty or null. */
export function readIommuEvidence(files: Files, paths: HostPaths): IommuEvidence {
  const sysfs = createSysfs(files, () => {});
  const unsafeInterrupts = sysfs.readAttribute(paths.unsafeInterrupts);
  const commandLine = sysfs.readAttribute(paths.kernelCommandLine) ?? '';
  return {
    units: sysfs.listNames(paths.sysClass('iommu')) ?? [],
    interruptRemapping: toInterruptRemapping(sysfs.readAttribute(paths.interrupts)),
    unsafeInterrupts: unsafeInterrupts === null ? null : unsafeInterrupts === 'Y' || unsafeInterrupts === '1',
    parameters: commandLine.split(/\s+/).filter((word) => /^[\w.-]*(iommu|intremap|smmu)[\w.-]*(=|$)/.test(word)),
  };
}

function toInterruptRemapping(interrupts: string | null): boolean | null {
  if (interrupts === null) return null;
  if (/\sIR-(PCI|IO-APIC)/.test(interrupts)) return true;
  return /\s(PCI-MSI|IO-APIC)/.test(interrupts) ? false : null;
}

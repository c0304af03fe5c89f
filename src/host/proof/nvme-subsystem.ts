// NVMe disks with native multipath: which controllers carry them.
import { isAbsent } from './evidence.ts';
import { wantedIn, type ProofPass } from './proof-pass.ts';

/**
 * The wanted devices whose controllers carry what lies at a resolved sysfs path below an NVMe subsystem; none for any other path. With
 * native multipath nvme0n1 and its generic node ng0n1 lie under /sys/devices/virtual/nvme-subsystem/nvme-subsys0, which no PCI address
 * leads to; the controllers are links beside them (drivers/nvme/host/multipath.c, core.c).
 */
export function nvmeControllersOf(
  pass: ProofPass,
  real: string,
  blind: (source: string, why: string) => void,
): readonly string[] {
  const subsystem = /^.*\/nvme-subsystem\/[^/]+/.exec(real)?.[0];
  if (subsystem === undefined) return [];
  const names = pass.evidence.names(subsystem);
  if ('errno' in names) {
    blind(subsystem, `readdir: ${names.errno}`);
    return [];
  }
  return names.value
    .filter((name) => /^nvme\d+$/.test(name))
    .flatMap((name) => {
      const controller = pass.evidence.real(`${subsystem}/${name}`);
      if ('errno' in controller) {
        if (!isAbsent(controller)) blind(`${subsystem}/${name}`, `realpath: ${controller.errno}`);
        return [];
      }
      return wantedIn(pass, controller.value);
    });
}

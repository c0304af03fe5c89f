// Which processes hold VFIO devices: group nodes, VFIO cdevs and the devices themselves. Where processes cannot be seen, every device
// on VFIO counts as held, for a write to a held one would block for as long as it is held.
import type { Device } from '../../domain/device.ts';
import { isAbsent, valueOf, type Failure } from './evidence.ts';
import type { OpenFiles, OpenNode } from './open-files.ts';
import { isOnVfio, ownerIn, wantedWhere, type ProofPass } from './proof-pass.ts';

/** Notes the holders. VFIO cdevs are among the character nodes that lead to their device (`proveCharacterUses`). */
export function proveVfioHolders(pass: ProofPass, open: OpenFiles, foreign: Failure | null): void {
  const onVfio = wantedWhere(pass, (device) => isOnVfio(device) || isBeingTaken(pass, device));
  const [unseen] = [...(foreign === null ? [] : [foreign]), ...open.blind];
  if (unseen !== undefined) {
    pass.notes.hold(onVfio, `processes cannot be seen, so it counts as in use (${unseen.source}: ${unseen.why})`);
  }
  const explained = new Set<string>();
  for (const node of open.nodes) {
    if (node.kind !== 'char') continue;
    const cdev = /\/vfio\/devices\/([^/ ]+)/.exec(node.path)?.[1];
    if (cdev !== undefined) {
      explained.add(node.pid);
      // By its name too, should sysfs not lead from its number to the device.
      const named = wantedWhere(pass, (device) => device.vfioDevice === cdev);
      pass.notes.hold(named, `${node.who} has ${node.path} open`);
    }
    const group = groupOf(pass, node);
    if (group === null) continue;
    explained.add(node.pid);
    pass.notes.hold(membersOf(pass, group), `${node.who} has ${node.path} open`);
  }
  for (const device of open.vfioDevices) {
    if (device.sysfsPath !== null) {
      pass.notes.hold(ownerIn(pass, device.sysfsPath), `${device.who} has the VFIO device open`);
    } else if (!explained.has(device.pid)) {
      // Before 6.18 the kernel does not tell which; a process that keeps the group node open is known by that.
      pass.notes.hold(onVfio, `${device.who} has a VFIO device open and this kernel does not tell which`);
    }
  }
}

// A remove that waits for the device's user has taken its driver link away already; the group's node goes when it is done
// (vfio_unregister_group_dev in drivers/vfio/vfio_main.c).
function isBeingTaken({ paths, evidence }: ProofPass, { driver, iommuGroup, isBridge }: Device): boolean {
  if (driver !== null || iommuGroup === null || isBridge) return false;
  const node = evidence.link(`${paths.sysClass('vfio')}/${iommuGroup}`);
  return !isAbsent(node);
}

// `12`, or `noiommu-0`. The group node has no device above it in sysfs; once the group is gone only the name it was opened by remains.
function groupOf(pass: ProofPass, node: OpenNode): string | null {
  const real = pass.evidence.real(`${pass.paths.sys}/dev/char/${node.number}`);
  const shown = 'value' in real ? /\/virtual\/vfio\/((?:noiommu-)?\d+)$/.exec(real.value)?.[1] : undefined;
  if (shown !== undefined) return shown;
  if ('value' in real && !isAbsent(real)) return null;
  return /\/vfio\/((?:noiommu-)?\d+)(?: \(deleted\))?$/.exec(node.path)?.[1] ?? null;
}

function membersOf(pass: ProofPass, group: string): readonly string[] {
  const number = group.replace('noiommu-', '');
  const known = pass.inventory.groups.get(Number(number))?.members ?? [];
  const shown = valueOf(pass.evidence.names(`${pass.paths.iommuGroup(number)}/devices`)) ?? [];
  return [...new Set([...known, ...shown])].filter((address) => pass.wanted.has(address)).sort();
}

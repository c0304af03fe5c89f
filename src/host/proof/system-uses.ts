// Devices that are part of the machine itself: bridges, and system devices (IOMMU, interrupt controllers, SMBus, BMC, watchdog, TPM, the
// console's serial port). A USB controller is none of them: the disks behind it are found by the storage proofs and its keyboard by
// the process that has it open.
import type { Device } from '../../domain/device.ts';
import { isAbsent, valueOf } from './evidence.ts';
import { isInert, ownerIn, wantedWhere, type ProofPass } from './proof-pass.ts';

/** Notes Bridge and SystemDevice, and Unproven where /sys/class cannot be read. */
export function proveSystemUses(pass: ProofPass): void {
  for (const device of pass.wanted.values()) {
    if (device.isBridge || (device.classCode?.startsWith('06') ?? false)) {
      pass.notes.refuse(
        [device.address],
        'Bridge',
        `${attribute(pass, device)} is ${device.classCode ?? 'that of a bridge'}`,
      );
    }
    const role = roleOf(pass, device);
    if (role !== null) {
      pass.notes.refuse(
        [device.address],
        'SystemDevice',
        `${attribute(pass, device)} is ${device.classCode ?? ''}: ${role}`,
      );
    }
  }
  noteClasses(pass);
  noteConsole(pass);
}

function attribute(pass: ProofPass, device: Device): string {
  return `${pass.paths.device(device.bus, device.address)}/class`;
}

// Base class, subclass: include/linux/pci_ids.h.
const roles: Readonly<Record<string, string>> = {
  '0502': 'CXL memory',
  '0800': 'an interrupt controller',
  '0801': 'a DMA controller',
  '0802': 'a system timer',
  '0803': 'a real-time clock',
  '0804': 'a hot-plug controller',
  '0806': 'an IOMMU',
  '0807': 'a root complex event collector',
  '0c05': 'an SMBus controller',
  '0c07': 'an IPMI interface',
};

// Part of the chipset when it sits on a root bus, an add-in card or accelerator otherwise.
const chipsetRoles: Readonly<Record<string, string>> = {
  '0500': 'memory of the chipset',
  '0580': 'a memory controller of the chipset',
  '0880': 'a peripheral of the chipset',
};

// Intel's data streaming and analytics accelerators call themselves 0880 on a root bus and are made to be given away
// (drivers/dma/idxd/init.c).
const accelerators: ReadonlySet<string> = new Set(['0b25', '0cfe', '11fb', '1212', '1216']);

function roleOf(pass: ProofPass, device: Device): string | null {
  const kind = device.classCode?.slice(0, 4) ?? '';
  const fixed = roles[kind];
  if (fixed !== undefined) return fixed;
  const chipset = chipsetRoles[kind];
  if (chipset === undefined || device.driver === 'idxd') return null;
  if (device.vendor === '8086' && accelerators.has(device.device ?? '')) return null;
  const real = valueOf(pass.evidence.real(pass.paths.device(device.bus, device.address)));
  // Without the path it counts as the chipset's.
  return real === null || /\/pci[0-9a-f]+:[0-9a-f]{2}\/[^/]+$/.test(real) ? chipset : null;
}

const systemClasses: Readonly<Record<string, string>> = {
  iommu: 'an IOMMU',
  watchdog: 'a watchdog',
  tpm: 'a TPM',
  tpmrm: 'a TPM',
  ipmi: 'a BMC',
  rtc: 'a real-time clock',
};

function noteClasses(pass: ProofPass): void {
  const root = `${pass.paths.sys}/class`;
  const classes = pass.evidence.names(root);
  if ('errno' in classes) {
    pass.notes.blind(
      wantedWhere(pass, (device) => !isInert(device)),
      root,
      `readdir: ${classes.errno}`,
    );
    return;
  }
  for (const [name, what] of Object.entries(systemClasses)) {
    if (!classes.value.includes(name)) continue;
    const directory = pass.paths.sysClass(name);
    const entries = pass.evidence.names(directory);
    if ('errno' in entries) {
      if (!isAbsent(entries))
        pass.notes.blind(
          wantedWhere(pass, (device) => !isInert(device)),
          directory,
          `readdir: ${entries.errno}`,
        );
      continue;
    }
    for (const entry of entries.value) {
      const real = valueOf(pass.evidence.real(`${directory}/${entry}`));
      if (real !== null)
        pass.notes.refuse(ownerIn(pass, real), 'SystemDevice', `it is ${what} (${directory}/${entry})`);
    }
  }
}

function noteConsole(pass: ProofPass): void {
  const ttys = pass.paths.sysClass('tty');
  const active = valueOf(pass.evidence.text(`${ttys}/console/active`)) ?? '';
  for (const name of active.split(/\s+/)) {
    if (!/^[A-Za-z]+\d+$/.test(name)) continue;
    const real = valueOf(pass.evidence.real(`${ttys}/${name}`));
    if (real !== null)
      pass.notes.refuse(ownerIn(pass, real), 'SystemDevice', `it carries the console ${name} (${ttys}/console/active)`);
  }
}

// A Linux for a virtual machine inside a pod: the lab's kernel, and an initramfs that binds the NIC it finds with the kernel's own
// driver, says on the console what it is, and restarts. As little as that, since it runs in an emulation within an emulation.

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from '../lab/cache.ts';
import { cpioArchive } from '../lab/initramfs.ts';
import { labKernel } from '../lab/kernels.ts';
import { labTools } from '../lab/tools.ts';

/** Files of the test machine, which nodes of the lab see under the same paths. */
export interface SmallLinux {
  /** An uncompressed kernel: nothing has to be unpacked in the virtual machine. */
  readonly kernel: string;
  readonly initramfs: string;
  readonly commandLine: string;
}

/** What the Linux inside said of the NIC. */
export interface NicInside {
  readonly id: string;
  readonly driver: string;
  readonly mac: string;
  /** Interrupts of it that had come; counted until there is one, for a minute at most. */
  readonly interrupts: number;
  /** Seconds since the virtual machine's kernel began. */
  readonly uptime: number;
}

const INIT = `#!/bin/busybox sh
bb=/bin/busybox
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
echo "inside: init"
$bb insmod /driver.ko
for path in /sys/class/net/*; do
  [ -e $path/device/driver ] || continue
  name=\${path##*/}
  read -r vendor < $path/device/vendor
  read -r device < $path/device/device
  read -r mac < $path/address
  cd -P $path/device/driver
  driver=\${PWD##*/}
  # Set up, the driver makes the NIC raise an interrupt.
  $bb ip link set $name up
  total=0
  tries=0
  while [ $total -eq 0 ] && [ $tries -lt 60 ]; do
    $bb sleep 1
    while read -r number count rest; do
      case "$rest" in *$name*) total=$((total + count)) ;; esac
    done < /proc/interrupts
    tries=$((tries + 1))
  done
  read -r uptime rest < /proc/uptime
  echo "inside: nic \${vendor#0x}:\${device#0x} driver $driver mac $mac interrupts $total uptime $uptime"
done
echo "inside: end"
$bb reboot -f
`;

/** Words that save emulated instructions; without ACPI no AML is interpreted, and the restart is a triple fault. */
const COMMAND_LINE =
  'console=ttyS0 quiet panic=-1 reboot=t acpi=off mitigations=off nokaslr tsc=reliable no_timer_check nowatchdog audit=0 apparmor=0 ' +
  'cryptomgr.notests random.trust_cpu=on init_on_alloc=0';

/** A driver of Intel's NICs, of those that need no other module. */
export type NicDriver = 'e1000e' | 'igbvf';

/** Finds it in the cache, or packs it first. */
export async function smallLinux(driver: NicDriver): Promise<SmallLinux> {
  const tools = await labTools();
  const kernel = await labKernel(tools, '6.12');
  const hash = createHash('sha256').update(tools.qemuVersion);
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  const module = `kernel/drivers/net/ethernet/intel/${driver}/${driver}.ko`;
  const entry = await cacheEntry(
    `initramfs/small-${driver}-${kernel.version}-${hash.digest('hex').slice(0, 16)}`,
    async (staging) => {
      const archive = cpioArchive([
        ...['bin', 'proc', 'sys', 'dev'].map((path) => ({ kind: 'directory', path }) as const),
        {
          kind: 'file',
          path: 'bin/busybox',
          content: readFileSync(join(tools.directory, 'bin/busybox')),
          executable: true,
        },
        {
          kind: 'file',
          path: 'driver.ko',
          content: readFileSync(join(kernel.directory, 'usr/lib/modules', kernel.release, module)),
        },
        { kind: 'file', path: 'init', content: Buffer.from(INIT), executable: true },
      ]);
      writeFileSync(join(staging, 'initramfs.cpio'), archive);
      return { guard: ['initramfs.cpio'] };
    },
  );
  return { kernel: kernel.image, initramfs: join(entry.directory, 'initramfs.cpio'), commandLine: COMMAND_LINE };
}

/** Every NIC that the console tells of; empty until it does. */
export function parseNicsInside(console: string): readonly NicInside[] {
  const line = /inside: nic (\S+) driver (\S+) mac (\S+) interrupts (\d+) uptime (\S+)/g;
  return [...console.matchAll(line)].map(([, id = '', driver = '', mac = '', interrupts, uptime]) => ({
    id,
    driver,
    mac,
    interrupts: Number(interrupts),
    uptime: Number(uptime),
  }));
}

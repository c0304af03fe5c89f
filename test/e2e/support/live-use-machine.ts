// The machine on which live-uses.ts is made: disks and cards for every use, and shell functions. `disk NAME` and `nic NAME` give the block
// device or interface of a device, `volume DEVICE NAME` makes a file system there and mounts it on /srv/NAME, `mapping NAME TABLE` a
// device-mapper device.
import type { DiskOption } from '../lab/boot.ts';

/** Devices of the same kinds that nobody uses: they show that what is refused is refused for its use. */
export const unusedDevices = ['blank', 'idle'] as const;

const nvmeDisks = [
  'nvmeroot',
  'lvm',
  'luks',
  'md',
  'mpath',
  'bcache',
  'zfs',
  'swap',
  'image',
  'elsewhere',
  'raw',
  'generic',
];
nvmeDisks.push('data', 'claimed', 'blank');
const cards = ['route6', 'bond', 'bridge', 'vlan', 'macvlan', 'netns', 'address', 'idle'];

/** Disks for `bootGuest`, each on an NVMe controller of its own. */
export const useDisks: readonly DiskOption[] = nvmeDisks.map((name) => ({ name }));

/** What the machine has beside the small topology and those disks, as QEMU arguments. `image` names a blank raw file to make. */
export function useArguments(image: (name: string) => string): readonly string[] {
  const ports = (slot: string, chassis: number, count: number): readonly string[] =>
    Array.from({ length: count }, (_, at) => [
      '-device',
      `pcie-root-port,id=port-${slot}-${at},chassis=${chassis + at},slot=0,bus=pcie.0,addr=0x${slot}.${at},multifunction=on`,
    ]).flat();
  const drive = (name: string): readonly string[] => [
    '-drive',
    `file=${image(name)},if=none,id=drive-${name},format=raw,cache=unsafe`,
  ];
  const device = (value: string): readonly string[] => ['-device', value];
  return [
    ...ports('a', 64, 8),
    ...ports('b', 80, 6),
    ...cards.flatMap((name, at) => device(`e1000e,id=${name},bus=port-a-${at},mac=52:54:00:00:a0:0${at},romfile=`)),
    ...device('e1000e,id=rdma,bus=port-b-5,mac=52:54:00:00:a0:0f,romfile='),
    ...['virtioblk', 'rawloop', 'export'].flatMap((name, at) => [
      ...drive(name),
      ...device(`virtio-blk-pci,id=${name},drive=drive-${name},bus=port-b-${at}`),
    ]),
    ...drive('scsi'),
    ...device('virtio-scsi-pci,id=scsi,bus=port-b-3'),
    ...device('scsi-hd,bus=scsi.0,drive=drive-scsi'),
    ...drive('usb'),
    ...device('qemu-xhci,id=usb,bus=port-b-4'),
    ...device('usb-storage,bus=usb.0,drive=drive-usb'),
    // The framebuffer with the lowest number is the console's: it must come before the VGA.
    ...device('bochs-display,id=console,bus=pcie.0,addr=0x4'),
    ...device('VGA,id=vga,bus=pcie.0,addr=0xc,romfile='),
    ...device('bochs-display,id=gpu,bus=pcie.0,addr=0xd'),
    ...device('i6300esb,id=watchdog,bus=pcie.0,addr=0xe'),
  ];
}

/** Drivers that the machine's devices have on their host. */
export const useDrivers: readonly string[] = (
  'virtio_net e1000e nvme virtio_blk virtio_scsi sd_mod xhci_pci usb_storage bochs ' +
  'ext4 loop dm_mod dm_crypt dm_multipath dm_round_robin md_mod raid1 bcache bonding bridge 8021q macvlan'
).split(' ');

/** The shell functions, once `addresses` are known. */
export function useFunctions(addresses: Readonly<Record<string, string>>): string {
  const cases = Object.entries(addresses).map(([name, address]) => `${name}) echo ${address};;`);
  return `set -e
address() { case $1 in ${cases.join(' ')} esac; }
disk() { a=$(address $1); for i in $(seq 100); do
  n=$(ls -d /sys/bus/pci/devices/$a/nvme/nvme*/nvme*n1 2>/dev/null | head -1)
  # With native multipath the controller lists a path (nvme0c1n1); the disk is the subsystem's (nvme0n1).
  [ -n "$n" ] && n=/dev/$(basename $n | sed 's/c[0-9]*n/n/') && [ -b $n ] && { echo $n; return; }
  for b in /sys/block/[vs]d*; do case $(readlink -f $b) in */$a/*) echo /dev/\${b##*/}; return;; esac; done
  sleep 0.1; done; echo "no disk of $1" >&2; return 1; }
nic() { a=$(address $1); ls /sys/bus/pci/devices/$a/net; }
sectors() { cat /sys/block/\${1#/dev/}/size; }
volume() { mkfs.ext4 -q $1; mkdir -p /srv/$2; mount -t ext4 $1 /srv/$2; }
mapping() { echo "$2" | DM_DISABLE_UDEV=1 dmsetup create $1 --noudevsync --noudevrules; [ -e /dev/mapper/$1 ]; }
background() { setsid "$@" < /dev/null > /dev/null 2>&1 & sleep 0.2; }
`;
}

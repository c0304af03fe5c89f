// Uses of devices that a node cannot lose, each made for real in a guest, with the refusal that it must meet. The machine that they are made
// on, and the shell functions that they are made with, are in live-use-machine.ts.
import type { RefusalCode } from '../../../src/domain/codes.ts';

/** One use. */
export interface LiveUse {
  /** The device's id in QEMU; the use has the same name. */
  readonly device: string;
  readonly what: string;
  /** Shell script that makes it; empty when the machine is so from the start. */
  readonly make: string;
  readonly code: RefusalCode;
  readonly proof: RegExp;
}

const lvm = `lvm_() { DM_DISABLE_UDEV=1 lvm "$@" --config 'devices{use_devicesfile=0} activation{udev_sync=0 udev_rules=0 verify_udev_operations=1} backup{backup=0 archive=0}'; }`;

/** Storage. */
const storage: readonly LiveUse[] = [
  {
    device: 'virtioblk',
    what: 'a file system on a virtio disk',
    make: 'volume $(disk virtioblk) virtio',
    code: 'RootStorage',
    proof: /vd\w is mounted on \/srv\/virtio \(\/proc\/1\/mountinfo\)/,
  },
  {
    device: 'nvmeroot',
    what: 'a file system on an NVMe disk',
    make: 'volume $(disk nvmeroot) nvme',
    code: 'RootStorage',
    proof: /nvme\d+n1 is mounted on \/srv\/nvme/,
  },
  {
    device: 'scsi',
    what: 'a file system on a SCSI disk',
    make: 'volume $(disk scsi) scsi',
    code: 'RootStorage',
    proof: /sd\w is mounted on \/srv\/scsi/,
  },
  {
    device: 'usb',
    what: 'the only disk of a USB controller',
    make: 'volume $(disk usb) usb',
    code: 'RootStorage',
    proof: /sd\w is mounted on \/srv\/usb/,
  },
  {
    device: 'lvm',
    what: 'a logical volume',
    make: `${lvm}; d=$(disk lvm); lvm_ pvcreate -q $d; lvm_ vgcreate -q vg $d; lvm_ lvcreate -q -y -Zn -Wn -L 32M -n data vg; volume /dev/mapper/vg-data lvm`,
    code: 'RootStorage',
    proof: /nvme\d+n1 carries dm-\d+ \(vg-data\), which is mounted on \/srv\/lvm/,
  },
  {
    device: 'luks',
    what: 'an encrypted disk',
    make: `d=$(disk luks); echo secret > /tmp/key
      cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $d /tmp/key
      DM_DISABLE_UDEV=1 cryptsetup open --key-file /tmp/key $d secret; volume /dev/mapper/secret luks`,
    code: 'RootStorage',
    proof: /nvme\d+n1 carries dm-\d+ \(secret\), which is mounted on \/srv\/luks/,
  },
  {
    device: 'md',
    what: 'an array',
    make: 'mdadm --create /dev/md0 --run --force --level=1 --raid-devices=1 $(disk md); volume /dev/md0 md',
    code: 'RootStorage',
    proof: /nvme\d+n1 carries md0, which is mounted on \/srv\/md/,
  },
  {
    device: 'mpath',
    what: 'a multipath map',
    make: `d=$(disk mpath); mapping mpatha "0 $(sectors $d) multipath 2 queue_mode bio 0 1 1 round-robin 0 1 1 $d 1000"
      volume /dev/mapper/mpatha mpath`,
    code: 'RootStorage',
    proof: /nvme\d+n1 carries dm-\d+ \(mpatha\), which is mounted on \/srv\/mpath/,
  },
  {
    device: 'bcache',
    what: 'a bcache',
    make: `d=$(disk bcache); make-bcache -B $d; echo $d > /sys/fs/bcache/register
      until [ -b /dev/bcache0 ]; do sleep 0.1; done; volume /dev/bcache0 bcache`,
    code: 'RootStorage',
    proof: /nvme\d+n1 carries bcache0, which is mounted on \/srv\/bcache/,
  },
  {
    device: 'zfs',
    what: 'a member of a ZFS pool',
    // Uberblocks of the first label (magic 0x00bab10c): what libblkid wants to see before it says zfs_member.
    make: `d=$(disk zfs); for at in 4 5 6 7 8 9; do
        printf '\\014\\261\\272\\0\\0\\0\\0\\0' | dd of=$d bs=1024 seek=$((128 + at)) conv=notrunc status=none; done; sync
      blkid -p $d | grep -q zfs_member`,
    code: 'StorageHasData',
    proof: /nvme\d+n1 holds zfs_member/,
  },
  {
    device: 'swap',
    what: 'swap',
    make: 'd=$(disk swap); mkswap $d; swapon $d',
    code: 'RootStorage',
    proof: /nvme\d+n1 is swap \(\/proc\/swaps\)/,
  },
  {
    device: 'image',
    what: 'an image on a mounted disk, attached as loop device',
    make: `volume $(disk image) images; truncate -s 16M /srv/images/disk.img; mkfs.ext4 -q /srv/images/disk.img
      losetup /dev/loop0 /srv/images/disk.img; mkdir -p /srv/image; mount /dev/loop0 /srv/image`,
    code: 'RootStorage',
    proof: /nvme\d+n1 (is mounted on \/srv\/images|holds \/srv\/images\/disk\.img, the image behind loop0)/,
  },
  {
    device: 'elsewhere',
    what: 'a mount in another mount namespace',
    make: `d=$(disk elsewhere); mkfs.ext4 -q $d; mkdir -p /srv/elsewhere
      background unshare --mount sh -c "mount -t ext4 $d /srv/elsewhere && exec sleep 100000"
      for i in $(seq 100); do grep -qs elsewhere /proc/[0-9]*/mountinfo && break; sleep 0.1; done`,
    code: 'RootStorage',
    proof: /nvme\d+n1 is mounted on \/srv\/elsewhere \(\/proc\/\d+\/mountinfo\)/,
  },
  {
    device: 'raw',
    what: 'a process that has the disk open',
    make: 'background sh -c "exec sleep 100000 < $(disk raw)"',
    code: 'StorageInUse',
    proof: /nvme\d+n1 is open as \/dev\/nvme\d+n1 in process sleep \(\d+\)/,
  },
  {
    device: 'generic',
    what: "a process that has the disk's NVMe generic node open",
    make: 'background sh -c "exec sleep 100000 < $(disk generic | sed s,/dev/nvme,/dev/ng,)"',
    code: 'StorageInUse',
    proof: /process sleep \(\d+\) has \/dev\/ng\d+n1 open/,
  },
  {
    device: 'data',
    what: 'a file system that nobody mounts',
    make: 'mkfs.ext4 -q $(disk data)',
    code: 'StorageHasData',
    proof: /nvme\d+n1 holds ext/,
  },
  {
    device: 'claimed',
    what: 'a volume that nobody mounts',
    make: 'd=$(disk claimed); mapping block "0 $(sectors $d) linear $d 0"',
    code: 'StorageInUse',
    proof: /nvme\d+n1 is claimed by dm-\d+ \(block\)/,
  },
  {
    device: 'rawloop',
    what: 'a loop device over the raw disk',
    make: 'losetup /dev/loop1 $(disk rawloop)',
    code: 'StorageInUse',
    proof: /vd\w backs loop1/,
  },
  {
    device: 'export',
    what: 'a disk that the kernel serves over NVMe',
    make: `modprobe nvmet; mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
      n=/sys/kernel/config/nvmet/subsystems/lab/namespaces/1; mkdir -p /sys/kernel/config/nvmet/subsystems/lab; mkdir $n
      printf %s $(disk export) > $n/device_path; echo 1 > $n/enable`,
    code: 'StorageInUse',
    proof: /vd\w is exported to other machines/,
  },
  {
    device: 'root9p',
    what: 'the 9p that the root file system lies on',
    make: '',
    code: 'RootStorage',
    proof: /carries the 9p 'root'/,
  },
];

const upper = (name: string, script: string): LiveUse => ({
  device: name,
  what: `the default route, over a ${name}`,
  make: `n=$(nic ${name}); ${script}`,
  code: 'PrimaryNetwork',
  proof: new RegExp(`\\w+ is under ${name}0, which carries the default route`),
});
let metric = 100;
const route = (name: string): string =>
  `ip addr add 10.${(metric += 1)}.0.2/24 dev ${name}; ip link set ${name} up; ip route add default via 10.${metric}.0.1 dev ${name} metric ${metric}`;

/** Networks. */
const network: readonly LiveUse[] = [
  {
    device: 'uplink',
    what: 'the IPv4 default route',
    make: '',
    code: 'PrimaryNetwork',
    proof: /carries the default route \(\/proc\/1\/net\/route\)/,
  },
  {
    device: 'route6',
    what: 'the IPv6 default route',
    make: 'n=$(nic route6); ip link set $n up; ip -6 route add default via fe80::1 dev $n metric 512',
    code: 'PrimaryNetwork',
    proof: /carries the default route \(\/proc\/1\/net\/ipv6_route\)/,
  },
  upper(
    'bond',
    `ip link add bond0 type bond mode active-backup; ip link set $n down; ip link set $n master bond0; ${route('bond0')}`,
  ),
  upper(
    'bridge',
    `ip link add bridge0 type bridge; ip link set $n up; ip link set $n master bridge0; ${route('bridge0')}`,
  ),
  upper('vlan', `ip link set $n up; ip link add link $n name vlan0 type vlan id 5; ${route('vlan0')}`),
  upper('macvlan', `ip link set $n up; ip link add link $n name macvlan0 type macvlan; ${route('macvlan0')}`),
  {
    device: 'netns',
    what: 'an interface in another network namespace',
    make: `n=$(nic netns); setsid unshare --net sleep 100000 < /dev/null > /dev/null 2>&1 & p=$!
      until [ "$(readlink /proc/$p/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done; ip link set $n netns $p`,
    code: 'NetworkInUse',
    proof: /driver e1000e is bound and no interface is to be seen/,
  },
  {
    device: 'address',
    what: 'an interface that is up with an address',
    make: 'n=$(nic address); ip addr add 10.99.0.2/24 dev $n; ip link set $n up',
    code: 'NetworkInUse',
    proof: /is up and (carries|has the address) 10\.99\.0\.2/,
  },
  {
    device: 'rdma',
    what: 'a process that has an RDMA device open, in software, over an interface without addresses',
    make: `modprobe -a rdma_rxe ib_uverbs; rdma link add rxe0 type rxe netdev $(nic rdma)
      until [ -c /dev/infiniband/uverbs0 ]; do sleep 0.1; done
      background sh -c "exec sleep 100000 < /dev/infiniband/uverbs0"`,
    code: 'NetworkInUse',
    proof: /process sleep \(\d+\) has \/dev\/infiniband\/uverbs0 open/,
  },
  {
    device: 'pair0',
    what: 'a function of a card whose other function carries an address',
    make: 'n=$(nic pair1); ip addr add 10.98.0.2/24 dev $n; ip link set $n up',
    code: 'GroupHasCritical',
    proof: /is up and (carries|has the address) 10\.98\.0\.2/,
  },
];

/** Displays, and the machine itself. */
const others: readonly LiveUse[] = [
  { device: 'vga', what: 'the boot display', make: '', code: 'BootDisplay', proof: /boot_vga is 1/ },
  {
    device: 'console',
    what: "the console's framebuffer",
    make: '',
    code: 'BootDisplay',
    proof: /fb0 is the console's framebuffer/,
  },
  {
    device: 'gpu',
    what: 'a process that has the DRM node open',
    make: `for c in /sys/bus/pci/devices/$(address gpu)/drm/card*; do background sh -c "exec sleep 100000 < /dev/dri/\${c##*/}"; done`,
    code: 'ActiveGpu',
    proof: /process sleep \(\d+\) has \/dev\/dri\/card\d+ open/,
  },
  { device: 'hot-port', what: 'a bridge', make: '', code: 'Bridge', proof: /class is 0604|is a bridge/ },
  {
    device: 'watchdog',
    what: 'a watchdog',
    make: 'modprobe i6300esb || true',
    code: 'SystemDevice',
    proof: /088000|it is a watchdog/,
  },
];

/** All of them. */
export const liveUses: readonly LiveUse[] = [...storage, ...network, ...others];

// Storage in use, in every way that the kernel offers; each is also tested with each of its sources taken away.
import { addNvme, addPartitionedNvme, init, nvme, subject, type CriticalUse } from './critical-use.ts';

const mounts = '/proc/1/mountinfo';
const listing = '/sys/class/block';

/** Storage. */
export const storageUses: readonly CriticalUse[] = [
  {
    name: 'root on a virtio disk',
    make(host) {
      const path = host.device({ address: subject, classCode: '010000', driver: 'virtio-pci' });
      host.block('vdb', { under: `${path}/virtio3/block`, number: '254:16' });
      host.mount('254:16', '/data', 'xfs', '/dev/vdb');
    },
    code: 'RootStorage',
    proof: /vdb is mounted on \/data \(\/proc\/1\/mountinfo\)/,
    sources: [mounts, listing, init, '/sys/devices/pci0000:3b/0000:3b:00.0/virtio3/block/vdb/dev'],
  },
  {
    name: 'root on a 9p of the hypervisor',
    make(host) {
      const path = host.device({ address: subject, classCode: '000200', driver: 'virtio-pci' });
      host.files.put(`${path}/virtio3/mount_tag`, 'root\0');
      host.files.put('/sys/bus/virtio/drivers/9pnet_virtio/virtio3', { link: `${path}/virtio3` });
      host.mount('0:20', '/', '9p', 'root', '1', 'rw,trans=virtio,version=9p2000.L');
    },
    code: 'RootStorage',
    proof: /carries the 9p 'root', which is mounted on \/ \(\/proc\/1\/mountinfo\)/,
    sources: [mounts],
  },
  {
    name: 'data on a virtiofs, whose tag cannot be read',
    make(host) {
      const path = host.device({ address: subject, classCode: '018000', driver: 'virtio-pci' });
      host.files.put(`${path}/virtio3/device`, '0x001a\n');
      host.files.put('/sys/bus/virtio/drivers/virtiofs/virtio3', { link: `${path}/virtio3` });
      host.mount('0:21', '/data', 'virtiofs', 'share');
    },
    code: 'RootStorage',
    proof: /carries the virtiofs 'share', which is mounted on \/data/,
    sources: [mounts],
  },
  {
    name: 'root on an NVMe partition',
    make(host) {
      addPartitionedNvme(host);
      host.mount('259:1', '/boot/efi', 'vfat', '/dev/nvme0n1p1');
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 is mounted on \/boot\/efi/,
    sources: [mounts, listing, init],
  },
  {
    name: 'root on a SCSI disk of an HBA',
    make(host) {
      const path = host.device({ address: subject, classCode: '010700', driver: 'mpt3sas' });
      host.block('sda', { under: `${path}/host0/target0:0:0/0:0:0:0/block`, number: '8:0' });
      host.mount('8:0', '/srv/a\\040b', 'ext4', '/dev/sda');
    },
    code: 'RootStorage',
    proof: /sda is mounted on \/srv\/a b/,
    sources: [mounts, listing, init],
  },
  {
    name: 'root on NVMe with native multipath',
    make(host) {
      const path = host.device(nvme);
      const subsystem = '/sys/devices/virtual/nvme-subsystem/nvme-subsys0';
      host.files.put(`${path}/nvme/nvme0/serial`, 'S1\n');
      host.files.put(`${subsystem}/nvme0`, { link: `${path}/nvme/nvme0` });
      host.block('nvme0n1', { under: subsystem, number: '259:0' });
      host.block('nvme0c0n1', { under: `${path}/nvme/nvme0`, number: '0:0', hidden: true });
      host.mount('259:0', '/var', 'ext4', '/dev/nvme0n1');
    },
    code: 'RootStorage',
    proof: /nvme0n1 is mounted on \/var/,
    sources: [mounts, listing, init, '/sys/devices/virtual/nvme-subsystem/nvme-subsys0'],
  },
  {
    name: 'LVM',
    make(host) {
      addPartitionedNvme(host);
      host.block('dm-0', { number: '253:0', slaves: ['nvme0n1p1'], mapName: 'vg-root' });
      host.mount('253:0', '/home', 'xfs', '/dev/mapper/vg-root');
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 carries dm-0 \(vg-root\), which is mounted on \/home/,
    sources: [mounts, listing, '/sys/devices/virtual/block/dm-0/slaves'],
  },
  {
    name: 'LUKS below LVM',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'crypto_LUKS' });
      host.block('dm-0', { number: '253:0', slaves: ['nvme0n1'], mapName: 'luks-1' });
      host.block('dm-1', { number: '253:1', slaves: ['dm-0'], mapName: 'vg-swap' });
      host.swap('/dev/dm-1                               partition\t8388604\t\t0\t\t-2');
    },
    code: 'RootStorage',
    proof: /nvme0n1 carries dm-1 \(vg-swap\), which is swap \(\/proc\/swaps\)/,
    sources: ['/proc/swaps', listing, '/sys/devices/virtual/block/dm-1/slaves'],
  },
  {
    name: 'md',
    make(host) {
      addPartitionedNvme(host);
      host.block('md127', { number: '9:127', slaves: ['nvme0n1p1'] });
      host.mount('9:127', '/var/lib', 'ext4', '/dev/md127');
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 carries md127, which is mounted on \/var\/lib/,
    sources: [mounts, listing, '/sys/devices/virtual/block/md127/slaves'],
  },
  {
    name: 'dm multipath',
    make(host) {
      const path = host.device({ address: subject, classCode: '0c0400', driver: 'lpfc' });
      host.block('sda', {
        under: `${path}/host1/rport-1:0-0/target1:0:0/1:0:0:0/block`,
        number: '8:0',
        udev: { ID_FS_TYPE: 'mpath_member' },
      });
      host.block('sdb', { under: '/sys/devices/pci0000:5e/0000:5e:00.0/host2/block', number: '8:16' });
      host.block('dm-5', { number: '253:5', slaves: ['sda', 'sdb'], mapName: 'mpatha' });
      host.mount('253:5', '/mnt/san', 'xfs', '/dev/mapper/mpatha');
    },
    code: 'RootStorage',
    proof: /sda carries dm-5 \(mpatha\), which is mounted on \/mnt\/san/,
    sources: [mounts, listing],
  },
  {
    name: 'bcache',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'bcache' });
      host.block('bcache0', { number: '252:0', slaves: ['nvme0n1'] });
      host.mount('252:0', '/cold', 'ext4', '/dev/bcache0');
    },
    code: 'RootStorage',
    proof: /nvme0n1 carries bcache0, which is mounted on \/cold/,
    sources: [mounts, listing],
  },
  {
    name: 'member of a ZFS pool',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'zfs_member' });
      host.mount('0:60', '/tank', 'zfs', 'tank/data');
    },
    code: 'RootStorage',
    proof: /nvme0n1 is a member of a ZFS pool \(\/run\/udev\/data\/b259:0\) while ZFS is in use/,
    sources: [mounts, '/run/udev/data'],
  },
  {
    name: 'btrfs, whose mounts carry no block number',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'btrfs' });
      host.mount('0:44', '/pool', 'btrfs', '/dev/nvme0n1');
    },
    code: 'RootStorage',
    proof: /nvme0n1 is mounted on \/pool/,
    sources: [mounts, listing],
  },
  {
    name: 'second member of a btrfs, known to the kernel alone',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'btrfs' });
      host.files.put('/sys/fs/btrfs/0f0f/devices/nvme0n1', { link: '../../../../class/block/nvme0n1' });
    },
    code: 'RootStorage',
    proof: /nvme0n1 is part of a live btrfs file system \(\/sys\/fs\/btrfs\/0f0f\/devices\)/,
    sources: [listing],
  },
  {
    name: 'log device of an xfs',
    make(host) {
      addNvme(host);
      host.mount('254:0', '/db', 'xfs', '/dev/vda', '1');
      host.files.put(
        mounts,
        `${host.files.readText(mounts)}40 1 254:0 / /db rw - xfs /dev/vda rw,logdev=/dev/nvme0n1,noquota\n`,
      );
    },
    code: 'RootStorage',
    proof: /nvme0n1 is mounted on \/db/,
    sources: [mounts],
  },
  {
    name: 'swap on a partition',
    make(host) {
      addPartitionedNvme(host);
      host.swap('/dev/nvme0n1p1                          partition\t8388604\t\t0\t\t-2');
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 is swap \(\/proc\/swaps\)/,
    sources: ['/proc/swaps', listing],
  },
  {
    name: 'an image on a mounted disk, attached as loop device',
    make(host) {
      addNvme(host, { ID_FS_TYPE: 'ext4' });
      host.mount('259:0', '/images', 'ext4', '/dev/nvme0n1');
      host.files.put(`${host.block('loop3', { number: '7:3' })}/loop/backing_file`, '/images/a/disk.img\n');
      host.mount('7:3', '/mnt/image', 'ext4', '/dev/loop3');
    },
    code: 'RootStorage',
    proof: /nvme0n1 is mounted on \/images .* \(and 1 more\)/,
    sources: [mounts, listing],
  },
  {
    name: 'a loop device over the raw disk',
    make(host) {
      addNvme(host);
      host.files.put(`${host.block('loop3', { number: '7:3' })}/loop/backing_file`, '/dev/nvme0n1\n');
    },
    code: 'StorageInUse',
    proof: /nvme0n1 backs loop3/,
    sources: [listing],
  },
  {
    name: 'a mount in another mount namespace',
    make(host) {
      addPartitionedNvme(host);
      host.process(4242, 'pod', 'mnt:[4026532999]');
      host.mount('259:1', '/var/data', 'ext4', '/dev/nvme0n1p1', '4242');
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 is mounted on \/var\/data \(\/proc\/4242\/mountinfo\)/,
    sources: ['/proc/4242/mountinfo', listing],
  },
  {
    name: 'a mount that no living process shows',
    make(host) {
      addPartitionedNvme(host);
      host.files.put('/sys/fs/ext4/nvme0n1p1', { directory: {} });
    },
    code: 'RootStorage',
    proof: /nvme0n1p1 has a live ext4 file system \(\/sys\/fs\/ext4\/nvme0n1p1\)/,
    sources: [listing],
  },
  {
    name: 'a raw opener',
    make(host) {
      addNvme(host);
      host.process(4711, 'ceph-osd');
      host.open(4711, '/dev/nvme0n1', 'block', '259:0');
    },
    code: 'StorageInUse',
    proof: /nvme0n1 is open as \/dev\/nvme0n1 in process ceph-osd \(4711\)/,
    sources: ['/proc/4711/fd', listing, init],
  },
  {
    name: 'a raw opener in a container, below another name',
    make(host) {
      addNvme(host);
      host.process(4711, 'qemu-kvm', 'mnt:[4026532999]');
      host.mount('0:5', '/volumes/disk', 'devtmpfs', 'udev', '4711');
      host.open(4711, '/volumes/disk', 'block', '259:0');
    },
    code: 'StorageInUse',
    proof: /nvme0n1 is open as \/volumes\/disk in process qemu-kvm/,
    sources: ['/proc/4711/fd', listing],
  },
  {
    name: 'an opener of the NVMe generic node',
    make(host) {
      const disk = addNvme(host);
      host.charNode('238:0', `${disk}/../ng0n1`);
      host.files.put(`${disk}/../nvme-generic/ng0n1`, { directory: {} });
      host.charNode('238:0', `${disk.replace('/nvme0n1', '')}/nvme-generic/ng0n1`);
      host.process(4711, 'spdk');
      host.open(4711, '/dev/ng0n1', 'char', '238:0');
    },
    code: 'StorageInUse',
    proof: /process spdk \(4711\) has \/dev\/ng0n1 open/,
    sources: ['/proc/4711/fd', '/sys/dev/char'],
  },
  {
    name: 'an opener of the NVMe generic node of a disk with native multipath',
    make(host) {
      const path = host.device(nvme);
      const subsystem = '/sys/devices/virtual/nvme-subsystem/nvme-subsys0';
      host.files.put(`${path}/nvme/nvme0/serial`, 'S1\n');
      host.files.put(`${subsystem}/nvme0`, { link: `${path}/nvme/nvme0` });
      host.block('nvme0n1', { under: subsystem, number: '259:0', udev: {} });
      host.block('nvme0c0n1', { under: `${path}/nvme/nvme0`, number: '0:0', hidden: true });
      host.files.put(`${subsystem}/ng0n1`, { directory: {} });
      host.charNode('238:0', `${subsystem}/ng0n1`);
      host.process(4711, 'spdk');
      host.open(4711, '/dev/ng0n1', 'char', '238:0');
    },
    code: 'StorageInUse',
    proof: /process spdk \(4711\) has \/dev\/ng0n1 open/,
    sources: ['/proc/4711/fd', '/sys/dev/char', '/sys/devices/virtual/nvme-subsystem/nvme-subsys0'],
  },
  {
    name: 'exported by the kernel over NVMe-oF',
    make(host) {
      addNvme(host);
      host.files.put('/sys/kernel/config/nvmet/subsystems/nqn.a/namespaces/1/device_path', '/dev/nvme0n1\n');
    },
    code: 'StorageInUse',
    proof: /nvme0n1 is exported to other machines \(\/sys\/kernel\/config\/nvmet\/subsystems\/nqn\.a/,
    sources: [listing],
  },
  {
    name: 'claimed by an array that nobody mounts',
    make(host) {
      addPartitionedNvme(host);
      host.block('dm-3', { number: '253:3', slaves: ['nvme0n1p1'], mapName: 'ceph-block' });
    },
    code: 'StorageInUse',
    proof: /nvme0n1p1 is claimed by dm-3 \(ceph-block\) \(\/sys\/class\/block\/nvme0n1p1\/holders\)/,
    sources: [listing, '/sys/devices/pci0000:3b/0000:3b:00.0/nvme/nvme0/nvme0n1/nvme0n1p1/holders'],
  },
  {
    name: 'a signature that nobody mounts',
    make: (host) => void addNvme(host, { ID_FS_TYPE: 'LVM2_member', ID_FS_USAGE: 'raid' }),
    code: 'StorageHasData',
    proof: /nvme0n1 holds LVM2_member \(\/run\/udev\/data\/b259:0\)/,
    sources: ['/run/udev/data', listing],
  },
  {
    name: 'the only disk, behind a USB controller',
    make(host) {
      const path = host.device({ address: subject, classCode: '0c0330', driver: 'xhci_hcd' });
      host.block('sdc', { under: `${path}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block`, number: '8:32' });
      host.mount('8:32', '/usr', 'ext4', '/dev/sdc');
    },
    code: 'RootStorage',
    proof: /sdc is mounted on \/usr/,
    sources: [mounts, listing, init],
  },
];

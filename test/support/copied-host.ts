// A copy of a host's files as a colleague would send it: a GPU with its audio function, an SR-IOV NIC with two VFs, an NVMe with the
// root filesystem, the module files of one kernel. Nothing of its processes but what the copy of /proc holds.
import { directorySink, createHostTree, temporaryRoot, type HostTree } from './host-tree.ts';

/** The kernel whose modules the copy holds. */
const copiedRelease = '6.12.0-test';

const modulesAlias = `# Aliases extracted from modules themselves.
alias pci:v000015B3d0000101Dsv*sd*bc*sc*i* mlx5_core
alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
`;

const modulesDep = `kernel/drivers/vfio/vfio.ko.xz:
kernel/drivers/vfio/pci/vfio-pci-core.ko.xz: kernel/drivers/vfio/vfio.ko.xz
kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/pci/vfio-pci-core.ko.xz kernel/drivers/vfio/vfio.ko.xz
kernel/drivers/vfio/pci/mlx5/mlx5-vfio-pci.ko.xz: kernel/drivers/vfio/pci/vfio-pci-core.ko.xz kernel/drivers/vfio/vfio.ko.xz
`;

/** The root filesystem's disk. */
export const rootDisk = '0000:05:00.0';

/** The copy's directory, and its tree to change it. */
export interface CopiedHost {
  readonly root: string;
  readonly tree: HostTree;
  remove(): void;
}

/** Makes the copy. */
export function createCopiedHost(): CopiedHost {
  const { path, remove } = temporaryRoot();
  const sink = directorySink(path);
  const tree = createHostTree(sink);
  tree.addFunction({
    address: '0000:01:00.0',
    vendor: '10de',
    device: '2204',
    classCode: '030000',
    driver: 'nouveau',
    iommuGroup: 12,
    numaNode: 0,
  });
  tree.addFunction({
    address: '0000:01:00.1',
    vendor: '10de',
    device: '1aef',
    classCode: '040300',
    driver: 'snd_hda_intel',
    iommuGroup: 12,
    numaNode: 0,
  });
  tree.addFunction({
    address: '0000:03:00.0',
    vendor: '15b3',
    device: '101d',
    classCode: '020000',
    driver: 'mlx5_core',
    iommuGroup: 20,
    totalVirtualFunctions: 8,
    interfaces: ['ens3np0'],
  });
  for (const [index, address] of ['0000:03:00.1', '0000:03:00.2'].entries())
    tree.addFunction({
      address,
      vendor: '15b3',
      device: '101e',
      classCode: '020000',
      driver: 'mlx5_core',
      iommuGroup: 21 + index,
      physicalFunction: '0000:03:00.0',
      interfaces: [`ens3v${index}`],
    });
  tree.addFunction({
    address: rootDisk,
    vendor: '144d',
    device: 'a80a',
    classCode: '010802',
    driver: 'nvme',
    iommuGroup: 30,
  });
  tree.addNvme(rootDisk, 'nvme0', 'S5XANE0R100001');
  const disk = `${tree.directoryOf(rootDisk)}/nvme/nvme0/nvme0n1`;
  sink.file(`${disk}/dev`, '259:0\n');
  sink.file(`${disk}/nvme0n1p2/dev`, '259:2\n');
  sink.file(`${disk}/nvme0n1p2/partition`, '2\n');
  for (const name of ['nvme0n1', 'nvme0n1/nvme0n1p2']) {
    const path = disk.replace(/nvme0n1$/, name);
    sink.link(`/sys/class/block/${name.split('/').at(-1) ?? ''}`, `../..${path.slice(4)}`);
  }
  sink.link('/sys/dev/block/259:2', `../..${disk.slice(4)}/nvme0n1p2`);
  sink.file('/proc/1/mountinfo', '22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n');
  sink.file(`/lib/modules/${copiedRelease}/modules.alias`, modulesAlias);
  sink.file(`/lib/modules/${copiedRelease}/modules.dep`, modulesDep);
  sink.file(`/lib/modules/${copiedRelease}/modules.builtin`, 'kernel/drivers/pci/pci-stub.ko\n');
  sink.file('/etc/hostname', 'rack7-node3\n');
  return { root: path, tree, remove };
}

/** Policies of the examples' kind, by file name. */
export const copiedPolicies: Readonly<Record<string, string>> = {
  'gpus.yaml': `apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata:
  name: gpus
spec:
  devices:
    - vendor: '10de'
      class: '03'
  iommuGroup: BindCompanions
  resource:
    name: vfio-operator.dev/gpu
`,
  'vfs.yaml': `apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata:
  name: vfs
spec:
  devices:
    - vendor: '15b3'
      function: Virtual
  driver:
    requireVariant: true
  resource:
    name: vfio-operator.dev/connectx-vf
---
apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata:
  name: disks
spec:
  mode: DryRun
  devices:
    - class: '0108'
`,
};

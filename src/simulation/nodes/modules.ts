// Kernel modules that the ready-made nodes are built from, with the aliases their kernels give them.
import { isPci } from '../kernel/spec.ts';
import type { ModuleSpec } from '../kernel/spec.ts';

/** The VFIO core and vfio-pci, as in a kernel from 5.15 on. */
export const vfioModules: readonly ModuleSpec[] = [
  { name: 'irqbypass', file: 'kernel/virt/lib/irqbypass.ko' },
  {
    name: 'vfio',
    file: 'kernel/drivers/vfio/vfio.ko',
    depends: ['irqbypass'],
    post: ['vfio_iommu_type1'],
  },
  {
    name: 'vfio_iommu_type1',
    file: 'kernel/drivers/vfio/vfio_iommu_type1.ko',
    depends: ['vfio'],
    parameters: { allow_unsafe_interrupts: 'N' },
  },
  { name: 'vfio_pci_core', file: 'kernel/drivers/vfio/pci/vfio-pci-core.ko', depends: ['vfio', 'irqbypass'] },
  {
    name: 'vfio_pci',
    file: 'kernel/drivers/vfio/pci/vfio-pci.ko',
    depends: ['vfio_pci_core', 'vfio'],
    aliases: ['vfio_pci:v*d*sv*sd*bc*sc*i*'],
    drivers: [{ bus: 'pci', name: 'vfio-pci', vfio: true }],
    parameters: { disable_vga: 'N', enable_sriov: 'N' },
  },
];

/** The port driver: part of the kernel image, without a module in sysfs. */
const pcieport: ModuleSpec = {
  name: 'pcieportdrv',
  builtin: true,
  drivers: [
    {
      bus: 'pci',
      name: 'pcieport',
      managesDma: true,
      ids: ['pci:v*d*sv*sd*bc06sc04i0[01]*'],
      probeErrno: (device) => (isPci(device) && device.conventional === true ? 'ENODEV' : null),
    },
  ],
};

const hostModule = (name: string, aliases: readonly string[], driver: Partial<ModuleSpec> = {}): ModuleSpec => ({
  name,
  aliases,
  drivers: [{ bus: 'pci', name: name === 'virtio_pci' ? 'virtio-pci' : name }],
  ...driver,
});

/** Ordinary drivers of devices that the nodes have. */
export const hostModules: readonly ModuleSpec[] = [
  pcieport,
  hostModule('e1000e', ['pci:v00008086d000010D3sv*sd*bc*sc*i*'], {
    file: 'kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko',
  }),
  hostModule('e1000', ['pci:v00008086d0000100Esv*sd*bc*sc*i*'], {
    file: 'kernel/drivers/net/ethernet/intel/e1000/e1000.ko',
  }),
  hostModule('igb', ['pci:v00008086d000010C9sv*sd*bc*sc*i*'], {
    file: 'kernel/drivers/net/ethernet/intel/igb/igb.ko',
    drivers: [{ bus: 'pci', name: 'igb', sriov: true }],
  }),
  hostModule('igbvf', ['pci:v00008086d000010CAsv*sd*bc*sc*i*'], {
    file: 'kernel/drivers/net/ethernet/intel/igbvf/igbvf.ko',
  }),
  hostModule('nvme', ['pci:v*d*sv*sd*bc01sc08i02*'], {
    file: 'kernel/drivers/nvme/host/nvme.ko',
    drivers: [{ bus: 'pci', name: 'nvme', sriov: true, leavesVfs: true }],
  }),
  hostModule('virtio_pci', ['pci:v00001AF4d*sv*sd*bc*sc*i*'], { file: 'kernel/drivers/virtio/virtio_pci.ko' }),
  hostModule('nouveau', ['pci:v000010DEd*sv*sd*bc03sc*i*'], { file: 'kernel/drivers/gpu/drm/nouveau/nouveau.ko' }),
  hostModule('snd_hda_intel', ['pci:v000010DEd*sv*sd*bc04sc03i00*'], { file: 'kernel/sound/pci/hda/snd-hda-intel.ko' }),
  hostModule('ast', ['pci:v00001A03d00002000sv*sd*bc03sc*i*'], { file: 'kernel/drivers/gpu/drm/ast/ast.ko' }),
  hostModule('mlx5_core', ['pci:v000015B3d0000101Dsv*sd*bc*sc*i*', 'pci:v000015B3d0000101Esv*sd*bc*sc*i*'], {
    file: 'kernel/drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko',
    drivers: [{ bus: 'pci', name: 'mlx5_core', sriov: true }],
  }),
];

/** A variant driver: a module, what it matches, and its driver's name, which need not be the module's. */
export function variantModule(
  name: string,
  aliases: readonly string[],
  options: { readonly driver?: string; readonly depends?: readonly string[]; readonly file?: string } = {},
): ModuleSpec {
  return {
    name,
    file: options.file ?? `updates/${name.replaceAll('_', '-')}.ko`,
    depends: ['vfio_pci_core', ...(options.depends ?? [])],
    aliases,
    drivers: [{ bus: 'pci', name: options.driver ?? name, vfio: true, ids: [] }],
  };
}

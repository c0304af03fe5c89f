// What an errno of the driver core means for the write that got it (drivers/base/bus.c, drivers/base/dd.c, drivers/pci/pci-sysfs.c,
// drivers/pci/iov.c, drivers/vfio). The kernel's own words are in its log; an errno is all that a write gives back.
import type { Step } from '../domain/step.ts';

const common: Readonly<Record<string, string>> = {
  EROFS: 'sysfs is mounted read-only here; the agent needs the host’s /sys writable',
  EACCES: 'not allowed: root in the initial user namespace is needed, and no security module in the way',
  EPERM: 'not allowed: the kernel asks for a capability, or is locked down',
  EINTR: 'the process that made the kernel call was killed; what the kernel did is read back',
};

const byStep: { readonly [Kind in Step['kind']]: Readonly<Record<string, string>> } = {
  LoadModule: {},
  SetOverride: {
    ENOENT: 'the device is gone, or its bus has no driver_override',
    EINVAL: 'the kernel does not take this name',
  },
  Unbind: {
    ENOENT: 'no such driver on this bus',
    ENODEV: 'the device is gone, or not bound to this driver',
  },
  Bind: {
    ENOENT: 'no such driver on this bus',
    ENODEV:
      'the driver does not match: another driver_override, no id of its own, or the probe found nothing it can drive',
    EBUSY: 'the device is bound already, its group is in use through VFIO, or it is a PF that has VFs',
    EINVAL:
      'the device has no IOMMU group (no IOMMU, or it is off), is a bridge, or the VFIO driver refuses this model',
    EAGAIN: 'the probe was put off: something the driver needs is not there yet',
    EIO: 'the device did not answer the driver',
    ENOMEM: 'the kernel has no memory for it',
  },
  Probe: {
    ENOENT: 'this bus cannot be probed',
    ENODEV: 'the device is gone',
    EINVAL: 'the group is in use through VFIO, so no host driver may be bound beside it',
  },
  SetAutoprobe: { ENOENT: 'the device is gone, or this kernel cannot keep drivers off new VFs' },
  SetVirtualFunctions: {
    ENOENT: 'the PF has no driver, or its driver cannot make VFs',
    ERANGE: 'more VFs than the device can make',
    EBUSY: 'the PF has another number of VFs, or they are in use',
    EINVAL: 'the kernel does not take this number',
    ENOSPC: 'no bus numbers or memory window left for the VFs (firmware setting)',
    ENOMEM: 'no memory window left for the VFs (firmware setting)',
  },
};

/** `EBUSY (the device is bound already…)`; the bare errno where there is nothing to add. */
export function explainErrno(kind: Step['kind'], errno: string): string {
  const meaning = byStep[kind][errno] ?? common[errno];
  return meaning === undefined ? errno : `${errno} (${meaning})`;
}

// How kernels differ where it matters to us, by version as measured on 5.10.223, 6.1.192, 6.12.95, 6.18.15 and 7.3.4. Several of
// these came and went with stable backports, so the version is only the default.

/** Ways in which kernels differ. */
export interface KernelQuirks {
  /** `vfio-dev/vfioN` below bound devices (6.1). */
  readonly vfioDev: boolean;
  /** CONFIG_VFIO_DEVICE_CDEV (6.6): /dev/vfio/devices/vfioN, and /dev/iommu. Off in Debian's kernels. */
  readonly cdev: boolean;
  /** `vfio-dev/vfioN` goes before the unbind waits for users (6.6), not after. */
  readonly vfioDevGoesFirst: boolean;
  /** DMA ownership (5.19): a host driver beside an open group is refused. Before, it is a kernel BUG. */
  readonly dmaOwnership: boolean;
  /** Attributes whose read takes the device's lock, and so sleeps while a bind or unbind of it does. */
  readonly lockingReads: readonly string[];
  /** A write to driver_override takes the device's lock. */
  readonly overrideWriteLocks: boolean;
  /** A write to sriov_numvfs takes the lock that rescan and remove take. */
  readonly sriovTakesRescanLock: boolean;
  /** The device attribute `power_state` exists (5.11), `reset_method` (5.15), vf_total_msix (5.13). */
  readonly powerState: boolean;
  readonly resetMethod: boolean;
  readonly totalMsix: boolean;
  /** `bind` tells the probe's errno (5.14). Before, everything but success is ENODEV, also a device that is bound already. */
  readonly bindTellsErrno: boolean;
  /** What opening a device of a group that is not viable fails with: EPERM from DMA ownership on, EINVAL before. */
  readonly notViable: string;
  /** sriov_numvfs beyond 16 bits is EINVAL; ERANGE on 5.10. */
  readonly sriovOverflow: string;
  /** A group's node stays as long as somebody has it open, even when its last device has left VFIO; seen on 5.10, not on 6.1. */
  readonly openGroupStays: boolean;
  /** Drivers in the kernel image have their module in sysfs even without parameters; seen on 6.12, not on 6.1. */
  readonly builtinModules: boolean;
  /** /proc/PID/fdinfo of an open VFIO device names it (6.18). */
  readonly fdinfoNamesDevice: boolean;
}

const sriovReads = ['sriov_numvfs', 'sriov_vf_total_msix'];

/** The quirks of a release such as `6.12.95+deb12-amd64`. */
export function quirksOf(release: string): KernelQuirks {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const since = (wantedMajor: number, wantedMinor: number): boolean =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  const old = !since(6, 2);
  const is618 = major === 6 && minor === 18;
  return {
    vfioDev: since(6, 1),
    cdev: false,
    vfioDevGoesFirst: since(6, 6),
    dmaOwnership: since(5, 19),
    lockingReads: old
      ? ['uevent', 'driver_override', ...sriovReads]
      : is618
        ? ['driver_override', ...sriovReads]
        : sriovReads,
    overrideWriteLocks: old || is618,
    sriovTakesRescanLock: since(6, 1),
    powerState: since(5, 11),
    resetMethod: since(5, 15),
    totalMsix: since(5, 13),
    bindTellsErrno: since(5, 14),
    notViable: since(5, 19) ? 'EPERM' : 'EINVAL',
    sriovOverflow: since(6, 1) ? 'EINVAL' : 'ERANGE',
    openGroupStays: !since(6, 1),
    builtinModules: since(6, 12),
    fdinfoNamesDevice: since(6, 18),
  };
}

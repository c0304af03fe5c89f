// What would cure each refusal and hold, in one sentence for a person. docs/troubleshooting.md says more under the same code.
import type { HoldCode, RefusalCode } from './codes.ts';

export const cures: Readonly<Record<RefusalCode | HoldCode, string>> = {
  RootStorage: 'A device under a mounted filesystem, swap or image cannot be taken; exclude it in the policy.',
  StorageInUse: 'Stop what has the disk open or claimed, or exclude the device.',
  StorageHasData: 'Wipe the disk (wipefs), or allow StorageHasData in the policy if its data may be given away.',
  PrimaryNetwork: 'The node reaches the cluster through this interface; exclude the device.',
  NetworkInUse: 'Take the interface out of use, or allow NetworkInUse in the policy.',
  BootDisplay: 'Move the console to another display, or allow BootDisplay in the policy.',
  Bridge: 'Bridges are never taken; select the devices behind it.',
  SystemDevice: 'The node needs this device to work; exclude it.',
  ActiveGpu: 'Stop the processes that use the GPU, or allow ActiveGpu in the policy.',
  PfHasVfs: 'Set sriov_numvfs to 0 first, once nothing uses the virtual functions.',
  GroupNotViable:
    'Select the other members of the IOMMU group too, or set iommuGroup: BindCompanions, or enable ACS on the path.',
  GroupHasCritical: 'A member of its IOMMU group must stay with the host; move the device to another slot.',
  ReservedRegions: 'The firmware has memory mapped for this device; a firmware setting or update must release it.',
  NoIommu:
    'Enable the IOMMU in the firmware and on the kernel command line (intel_iommu=on), or opt in to no-IOMMU mode with allow: NoIommu.',
  NoDriver: 'Install a kernel with a VFIO driver for this device, or name one in driver.name and driver.module.',
  NoDeviceNode: 'Use deviceNodes: Auto or Group, or a kernel with iommufd and VFIO device cdevs.',
  ModuleMissing: 'Load the module at boot on the host, e.g. by a line in /etc/modules-load.d/vfio.conf.',
  NotOurs: 'Somebody else put it on VFIO or set driver_override; undo that, or allow NotOurs to adopt it.',
  Conflict: 'Make the policies agree, or give one of them another resource name.',
  Unproven: 'Give the agent what it needs to read the host: root, host PIDs, SYS_PTRACE and DAC_READ_SEARCH.',
  HeldByPod: 'It goes on by itself once the pod has ended.',
  HeldByProcess: 'It goes on by itself once the process has closed the device.',
  RecentlyAllocated:
    'It goes on by itself once kubelet has shown what became of the allocation, after 5 minutes at most.',
  PodResourcesUnreadable:
    "Make kubelet's pod-resources socket readable, or say --kubelet=none where there is no kubelet.",
  Stuck: 'A kernel write has not returned; end what has the device open, then it goes on by itself.',
  Quarantined: 'Look at the device, mend it by hand, then run: vfio-operator release ADDRESS.',
};

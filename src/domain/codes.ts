// The closed lists of reasons. Each code is documented in docs/troubleshooting.md; a test holds both against each other.

/** What must not be touched. `allow[]` of a policy can override the few named in the CRD, nothing else can. */
export const refusalCodes = [
  'RootStorage',
  'StorageInUse',
  'StorageHasData',
  'PrimaryNetwork',
  'NetworkInUse',
  'BootDisplay',
  'Bridge',
  'SystemDevice',
  'ActiveGpu',
  'PfHasVfs',
  'GroupNotViable',
  'GroupHasCritical',
  'ReservedRegions',
  'NoIommu',
  'NoDriver',
  'NoDeviceNode',
  'ModuleMissing',
  'NotOurs',
  'Conflict',
  'Unproven',
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

/** What must wait, because somebody uses it or a kernel call on it has not returned. */
export const holdCodes = [
  'HeldByPod',
  'HeldByProcess',
  'RecentlyAllocated',
  'PodResourcesUnreadable',
  'Stuck',
  'Quarantined',
] as const;
export type HoldCode = (typeof holdCodes)[number];

/** What shall become of a device. */
export const decisionKinds = [
  'Bind',
  'Bound',
  'Release',
  'Refused',
  'Held',
  'Failed',
  'Quarantined',
  'Stuck',
  'Ignored',
] as const;
export type DecisionKind = (typeof decisionKinds)[number];

/**
 * Proof that the node lives on a device or that somebody uses it, found on the host. `proof` names the path that shows it, e.g.
 * "nvme0n1p2 is mounted on / (/proc/1/mountinfo)". Only codes that are read off the host appear here; codes that follow from the
 * plan (group, driver, conflict) are added by `plan`.
 */
export interface Finding {
  readonly address: string;
  readonly code: RefusalCode;
  readonly proof: string;
}

// Names of the API: version, kinds, condition types and reasons. What the CRDs say in YAML, the programs read from here.

export const apiVersion = 'vfio-operator.dev/v1alpha1';

export const policyKind = 'VfioPolicy';
export const nodeStateKind = 'VfioNodeState';

/** Present always, on both kinds. */
export const readyCondition = 'Ready';
/** Present only while True, on both kinds (kstatus reads an absent one as False). */
export const reconcilingCondition = 'Reconciling';
export const stalledCondition = 'Stalled';
/** Of a node state alone, present always (Registered: only on a node with kubelet). */
export const policiesKnownCondition = 'PoliciesKnown';
export const hostReadableCondition = 'HostReadable';
export const registeredCondition = 'Registered';
/** Of a node state alone, present only while False: a device is on VFIO without an IOMMU. */
export const isolatedCondition = 'Isolated';

/** Reasons of conditions. CamelCase, stable: programs compare them. */
export const conditionReasons = {
  /** Ready True: every device is where it shall be. */
  allDone: 'AllDone',
  /** Ready True: no node or device matches. */
  noMatchingDevices: 'NoMatchingDevices',
  /** Ready True of a policy in DryRun: every node has planned it. */
  dryRunPlanned: 'DryRunPlanned',
  /** Ready False, Reconciling True: steps are running or waiting. */
  stepsPending: 'StepsPending',
  /** Ready False, Reconciling True of a policy: agents have not acted on this generation yet. */
  agentsBehind: 'AgentsBehind',
  /** Ready False: a change waits for the user of a device. */
  devicesHeld: 'DevicesHeld',
  /** Stalled True: a step failed, or could not be undone, or has not returned. */
  devicesFailed: 'DevicesFailed',
  devicesQuarantined: 'DevicesQuarantined',
  devicesStuck: 'DevicesStuck',
  /** Stalled True: policies contradict each other. */
  conflict: 'Conflict',
  /** Stalled True: the policy is not valid for this agent. */
  invalid: 'Invalid',
  /** PoliciesKnown. */
  listComplete: 'ListComplete',
  listIncomplete: 'ListIncomplete',
  /** HostReadable. */
  everythingRead: 'EverythingRead',
  sourcesUnread: 'SourcesUnread',
  /** Registered. */
  kubeletHasAll: 'KubeletHasAll',
  nothingToRegister: 'NothingToRegister',
  kubeletHasNotAll: 'KubeletHasNotAll',
  noKubelet: 'NoKubelet',
  /** Isolated. */
  noIommuMode: 'NoIommuMode',
} as const;
export type ConditionReason = (typeof conditionReasons)[keyof typeof conditionReasons];

// A VfioPolicy as the planner reads it: every default applied, nothing optional, nothing of Kubernetes but its name and identity.

/** What is wrong with a policy. `path` is a field path such as `spec.devices[0].vendor`. */
export interface PolicyProblem {
  readonly path: string;
  readonly message: string;
}

/** A label selector in Kubernetes's form; both parts empty selects every node. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly LabelExpression[];
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** One entry of `devices` or `exclude`: all given parts must hold (AND); null or an empty list means "not asked". */
export interface DeviceSelector {
  readonly bus: 'pci' | 'platform' | 'cdx' | 'fsl-mc' | null;
  /** 4 hexadecimal digits, lower case. */
  readonly vendor: string | null;
  readonly device: string | null;
  readonly subsystemVendor: string | null;
  readonly subsystemDevice: string | null;
  /** Prefix of the 6 digits of the class code, lower case. */
  readonly class: string | null;
  /** Glob over the whole modalias, case-sensitive. */
  readonly modalias: string | null;
  readonly addresses: readonly string[];
  readonly slots: readonly string[];
  readonly serialNumbers: readonly string[];
  readonly acpiIndexes: readonly number[];
  readonly numaNodes: readonly number[];
  /** The driver it has, or had before we took it. */
  readonly drivers: readonly string[];
  readonly function: 'Physical' | 'Virtual' | 'Any';
  /** Parents of the wanted VFs, by address or interface name. */
  readonly physicalFunctions: readonly string[];
}

/** What a policy may override. */
export const allowCodes = [
  'BootDisplay',
  'ActiveGpu',
  'NetworkInUse',
  'StorageHasData',
  'NotOurs',
  'NoIommu',
  'PrimaryNetwork',
  'RootStorage',
] as const;
export type AllowCode = (typeof allowCodes)[number];

export interface DeclaredAlias {
  /** Whole alias pattern with its `vfio_` prefix, e.g. `vfio_pci:v000015B3d*sv*sd*bc*sc*i*`. */
  readonly pattern: string;
  readonly module: string;
}

export interface DriverPolicy {
  /** null: the alias algorithm decides. */
  readonly name: string | null;
  readonly module: string | null;
  readonly requireVariant: boolean;
  readonly aliases: readonly DeclaredAlias[];
}

export interface ResourcePolicy {
  /** Extended resource name, e.g. `vfio-operator.dev/connectx7-vf`. */
  readonly name: string;
  readonly unit: 'Group' | 'Function';
  readonly deviceNodes: 'Auto' | 'Group' | 'Cdev' | 'Iommufd';
  readonly allocation: 'Packed' | 'SpreadPhysicalFunctions';
  readonly environment: readonly ('KubeVirt' | 'SriovNetwork')[];
  readonly cdi: boolean;
}

export interface Policy {
  readonly name: string;
  /** null for a policy from a file. */
  readonly uid: string | null;
  readonly generation: number;
  /** Milliseconds since the epoch; null: unknown, which no policy is older than. */
  readonly createdAt: number | null;
  /** For people: the file it came from, or `VfioPolicy/NAME`. */
  readonly source: string;
  readonly nodeSelector: LabelSelector;
  readonly priority: number;
  readonly mode: 'Enforce' | 'DryRun';
  readonly devices: readonly DeviceSelector[];
  readonly exclude: readonly DeviceSelector[];
  readonly driver: DriverPolicy;
  readonly iommuGroup: 'RequireSelected' | 'BindCompanions';
  /** VFs wanted on each selected PF; null: none are made. */
  readonly virtualFunctions: number | null;
  /** null: bound, not advertised. */
  readonly resource: ResourcePolicy | null;
  readonly allow: readonly AllowCode[];
  readonly onDelete: 'Restore' | 'Retain';
}

/**
 * The policies as far as they are known. `complete: false` means that not seeing a policy does not prove that it is gone (404, 401,
 * 403, an unreadable directory, a list older than the one acted on): then nothing may be released on its account.
 */
export interface PolicySet {
  readonly complete: boolean;
  readonly policies: readonly Policy[];
  /** Why it is not complete; null when it is. */
  readonly why: string | null;
}

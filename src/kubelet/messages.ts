// The messages that kubelet and we exchange, as our code sees them: plain, complete, integers as numbers. The names are those of the
// contracts in proto/; codec.ts turns them into bytes and back.

export type Empty = Record<string, never>;

// ---- deviceplugin.v1beta1

export interface DevicePluginOptions {
  readonly preStartRequired: boolean;
  readonly getPreferredAllocationAvailable: boolean;
}

export interface RegisterRequest {
  readonly version: string;
  /** File name of the socket, in the directory of kubelet.sock. */
  readonly endpoint: string;
  readonly resourceName: string;
  readonly options: DevicePluginOptions;
}

export interface ListedDevice {
  readonly id: string;
  /** `Healthy`; anything else is not. */
  readonly health: string;
  /** Empty: no topology is told, which kubelet takes for "any". */
  readonly numaNodes: readonly number[];
}

export interface ListAndWatchResponse {
  readonly devices: readonly ListedDevice[];
}

export interface ContainerPreferredAllocationRequest {
  readonly available: readonly string[];
  readonly mustInclude: readonly string[];
  readonly size: number;
}

export interface PreferredAllocationRequest {
  readonly containerRequests: readonly ContainerPreferredAllocationRequest[];
}

export interface PreferredAllocationResponse {
  /** Device ids, one list per container request. */
  readonly containerResponses: readonly (readonly string[])[];
}

export interface AllocateRequest {
  /** Device ids, one list per container request; kubelet sends one. */
  readonly containerRequests: readonly (readonly string[])[];
}

export interface Mount {
  readonly containerPath: string;
  readonly hostPath: string;
  readonly readOnly: boolean;
}

export interface DeviceSpec {
  readonly containerPath: string;
  readonly hostPath: string;
  /** Letters of `mrw`. */
  readonly permissions: string;
}

export interface ContainerAllocateResponse {
  readonly envs: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  readonly devices: readonly DeviceSpec[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Qualified CDI names. */
  readonly cdiDevices: readonly string[];
}

export interface AllocateResponse {
  readonly containerResponses: readonly ContainerAllocateResponse[];
}

export interface PreStartContainerRequest {
  readonly ids: readonly string[];
}

// ---- podresources.v1, as far as we read it; what it says of processors, memory and claims is left where it is

export interface ContainerDevices {
  readonly resourceName: string;
  readonly ids: readonly string[];
  readonly numaNodes: readonly number[];
}

interface ContainerResources {
  readonly name: string;
  readonly devices: readonly ContainerDevices[];
}

export interface PodResources {
  readonly name: string;
  readonly namespace: string;
  readonly containers: readonly ContainerResources[];
}

export interface ListPodResourcesResponse {
  readonly podResources: readonly PodResources[];
}

export interface AllocatableResourcesResponse {
  readonly devices: readonly ContainerDevices[];
}

export interface GetPodResourcesRequest {
  readonly podName: string;
  readonly podNamespace: string;
}

export interface GetPodResourcesResponse {
  readonly podResources: PodResources | null;
}

// ---- pluginregistration

export interface PluginInfo {
  readonly type: string;
  readonly name: string;
  readonly endpoint: string;
  readonly supportedVersions: readonly string[];
}

export interface RegistrationStatus {
  readonly pluginRegistered: boolean;
  readonly error: string;
}

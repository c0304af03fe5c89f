// Bytes of every message in messages.ts, through the generated code. The generated encoders drop a misspelt key in silence and decode
// int64 as objects; here the types catch the one and numbers replace the other. Golden bytes in the tests hold it to the contract.
import { v1beta1 } from './generated/deviceplugin.js';
import { pluginregistration } from './generated/pluginregistration.js';
import { v1 } from './generated/podresources.js';
import type * as messages from './messages.ts';

/** One message type's two directions. `decode` throws on bytes that are no such message. */
export interface MessageCodec<Message> {
  encode(message: Message): Uint8Array;
  decode(bytes: Uint8Array): Message;
}

interface WireType<Properties, Wire> {
  encode(message: Properties): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Wire;
}

function codec<Message, Properties, Wire>(
  type: WireType<Properties, Wire>,
  toWire: (message: Message) => Properties,
  fromWire: (wire: Wire) => Message,
): MessageCodec<Message> {
  return {
    encode: (message) => type.encode(toWire(message)).finish(),
    decode: (bytes) => fromWire(type.decode(bytes)),
  };
}

interface WireTopology {
  nodes?: { ID?: number | null }[] | null;
}

// Kubelet takes an absent topology for "any node" and node 0 for node 0: an empty one must not be sent.
function toTopology(numaNodes: readonly number[]): { topology?: WireTopology } {
  return numaNodes.length === 0 ? {} : { topology: { nodes: numaNodes.map((ID) => ({ ID })) } };
}

// Number() of a Long-like object goes through its toString, exact up to 2^53.
function fromTopology(
  topology: { readonly nodes?: readonly { readonly ID?: unknown }[] | null } | null | undefined,
): number[] {
  return (topology?.nodes ?? []).map(({ ID }) => Number(ID ?? 0));
}

const nothing = (): messages.Empty => ({});

export const empty = codec<messages.Empty, object, object>(v1beta1.Empty, nothing, nothing);

type WireOptions = v1beta1.DevicePluginOptions.$Properties;

function fromOptions(wire: WireOptions | null | undefined): messages.DevicePluginOptions {
  return {
    preStartRequired: wire?.preStartRequired ?? false,
    getPreferredAllocationAvailable: wire?.getPreferredAllocationAvailable ?? false,
  };
}

export const devicePluginOptions = codec<messages.DevicePluginOptions, WireOptions, WireOptions>(
  v1beta1.DevicePluginOptions,
  (message) => ({ ...message }),
  fromOptions,
);

export const registerRequest = codec(
  v1beta1.RegisterRequest,
  (message: messages.RegisterRequest) => ({ ...message }),
  (wire): messages.RegisterRequest => ({
    version: wire.version,
    endpoint: wire.endpoint,
    resourceName: wire.resourceName,
    options: fromOptions(wire.options),
  }),
);

export const listAndWatchResponse = codec(
  v1beta1.ListAndWatchResponse,
  (message: messages.ListAndWatchResponse) => ({
    devices: message.devices.map(({ id, health, numaNodes }) => ({ ID: id, health, ...toTopology(numaNodes) })),
  }),
  (wire): messages.ListAndWatchResponse => ({
    devices: wire.devices.map((device) => ({
      id: device.ID ?? '',
      health: device.health ?? '',
      numaNodes: fromTopology(device.topology),
    })),
  }),
);

export const preferredAllocationRequest = codec(
  v1beta1.PreferredAllocationRequest,
  (message: messages.PreferredAllocationRequest) => ({
    containerRequests: message.containerRequests.map(({ available, mustInclude, size }) => ({
      availableDeviceIDs: [...available],
      mustIncludeDeviceIDs: [...mustInclude],
      allocationSize: size,
    })),
  }),
  (wire): messages.PreferredAllocationRequest => ({
    containerRequests: wire.containerRequests.map((request) => ({
      available: request.availableDeviceIDs ?? [],
      mustInclude: request.mustIncludeDeviceIDs ?? [],
      size: request.allocationSize ?? 0,
    })),
  }),
);

export const preferredAllocationResponse = codec(
  v1beta1.PreferredAllocationResponse,
  (message: messages.PreferredAllocationResponse) => ({
    containerResponses: message.containerResponses.map((ids) => ({ deviceIDs: [...ids] })),
  }),
  (wire): messages.PreferredAllocationResponse => ({
    containerResponses: wire.containerResponses.map((response) => response.deviceIDs ?? []),
  }),
);

export const allocateRequest = codec(
  v1beta1.AllocateRequest,
  (message: messages.AllocateRequest) => ({
    containerRequests: message.containerRequests.map((ids) => ({ devicesIds: [...ids] })),
  }),
  (wire): messages.AllocateRequest => ({
    containerRequests: wire.containerRequests.map((request) => request.devicesIds ?? []),
  }),
);

type WireAnswer = v1beta1.ContainerAllocateResponse.$Properties;

function toAnswer(message: messages.ContainerAllocateResponse): WireAnswer {
  return {
    envs: { ...message.envs },
    mounts: message.mounts.map((mount) => ({ ...mount })),
    devices: message.devices.map((device) => ({ ...device })),
    annotations: { ...message.annotations },
    cdiDevices: message.cdiDevices.map((name) => ({ name })),
  };
}

function fromAnswer(wire: WireAnswer): messages.ContainerAllocateResponse {
  return {
    envs: { ...wire.envs },
    mounts: (wire.mounts ?? []).map((mount) => ({
      containerPath: mount.containerPath ?? '',
      hostPath: mount.hostPath ?? '',
      readOnly: mount.readOnly ?? false,
    })),
    devices: (wire.devices ?? []).map((device) => ({
      containerPath: device.containerPath ?? '',
      hostPath: device.hostPath ?? '',
      permissions: device.permissions ?? '',
    })),
    annotations: { ...wire.annotations },
    cdiDevices: (wire.cdiDevices ?? []).map((device) => device.name ?? ''),
  };
}

/** Also what kubelet's checkpoint file keeps of each Allocate. */
export const containerAllocateResponse = codec<messages.ContainerAllocateResponse, WireAnswer, WireAnswer>(
  v1beta1.ContainerAllocateResponse,
  toAnswer,
  fromAnswer,
);

export const allocateResponse = codec(
  v1beta1.AllocateResponse,
  (message: messages.AllocateResponse) => ({ containerResponses: message.containerResponses.map(toAnswer) }),
  (wire): messages.AllocateResponse => ({ containerResponses: wire.containerResponses.map(fromAnswer) }),
);

export const preStartContainerRequest = codec(
  v1beta1.PreStartContainerRequest,
  (message: messages.PreStartContainerRequest) => ({ devicesIds: [...message.ids] }),
  (wire): messages.PreStartContainerRequest => ({ ids: wire.devicesIds }),
);

function toContainerDevices(message: messages.ContainerDevices): v1.ContainerDevices.$Properties {
  return { resourceName: message.resourceName, deviceIds: [...message.ids], ...toTopology(message.numaNodes) };
}

function fromContainerDevices(wire: v1.ContainerDevices.$Properties): messages.ContainerDevices {
  return {
    resourceName: wire.resourceName ?? '',
    ids: wire.deviceIds ?? [],
    numaNodes: fromTopology(wire.topology),
  };
}

function toPod(message: messages.PodResources): v1.PodResources.$Properties {
  return {
    name: message.name,
    namespace: message.namespace,
    containers: message.containers.map(({ name, devices }) => ({ name, devices: devices.map(toContainerDevices) })),
  };
}

function fromPod(wire: v1.PodResources.$Properties): messages.PodResources {
  return {
    name: wire.name ?? '',
    namespace: wire.namespace ?? '',
    containers: (wire.containers ?? []).map((container) => ({
      name: container.name ?? '',
      devices: (container.devices ?? []).map(fromContainerDevices),
    })),
  };
}

export const listPodResourcesResponse = codec(
  v1.ListPodResourcesResponse,
  (message: messages.ListPodResourcesResponse) => ({ podResources: message.podResources.map(toPod) }),
  (wire): messages.ListPodResourcesResponse => ({ podResources: wire.podResources.map(fromPod) }),
);

export const allocatableResourcesResponse = codec(
  v1.AllocatableResourcesResponse,
  (message: messages.AllocatableResourcesResponse) => ({ devices: message.devices.map(toContainerDevices) }),
  (wire): messages.AllocatableResourcesResponse => ({ devices: wire.devices.map(fromContainerDevices) }),
);

export const getPodResourcesRequest = codec(
  v1.GetPodResourcesRequest,
  (message: messages.GetPodResourcesRequest) => ({ ...message }),
  (wire): messages.GetPodResourcesRequest => ({ podName: wire.podName, podNamespace: wire.podNamespace }),
);

export const getPodResourcesResponse = codec(
  v1.GetPodResourcesResponse,
  (message: messages.GetPodResourcesResponse) =>
    message.podResources === null ? {} : { podResources: toPod(message.podResources) },
  (wire): messages.GetPodResourcesResponse => ({
    podResources: wire.podResources == null ? null : fromPod(wire.podResources),
  }),
);

export const pluginInfo = codec(
  pluginregistration.PluginInfo,
  (message: messages.PluginInfo) => ({ ...message, supportedVersions: [...message.supportedVersions] }),
  (wire): messages.PluginInfo => ({
    type: wire.type,
    name: wire.name,
    endpoint: wire.endpoint,
    supportedVersions: wire.supportedVersions,
  }),
);

export const registrationStatus = codec(
  pluginregistration.RegistrationStatus,
  (message: messages.RegistrationStatus) => ({ ...message }),
  (wire): messages.RegistrationStatus => ({ pluginRegistered: wire.pluginRegistered, error: wire.error }),
);

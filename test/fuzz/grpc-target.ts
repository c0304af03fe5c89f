// Bytes of gRPC messages, ours and kubelet's: each decoder throws an error or gives a message of the right shape, which encodes to bytes that
// say the same.
import { constantFrom, tuple } from 'fast-check';
import * as codecs from '../../src/kubelet/codec.ts';
import type { MessageCodec } from '../../src/kubelet/codec.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { mutatedBytes } from './mutated-bytes.ts';

const id = '0000:3b:00.0';
const options = { preStartRequired: true, getPreferredAllocationAvailable: true };
const pod = {
  name: 'vm-1',
  namespace: 'default',
  containers: [{ name: 'compute', devices: [{ resourceName: 'example.org/nic', ids: [id, 'b'], numaNodes: [1] }] }],
};
const answer = {
  envs: { PCI_RESOURCE_EXAMPLE_ORG_NIC: id },
  mounts: [{ containerPath: '/a', hostPath: '/b', readOnly: true }],
  devices: [{ containerPath: '/dev/vfio/1', hostPath: '/dev/vfio/1', permissions: 'mrw' }],
  annotations: { a: 'b' },
  cdiDevices: ['example.org/nic=x'],
};

interface Subject {
  readonly name: string;
  readonly codec: MessageCodec<unknown>;
  readonly sample: Uint8Array;
}
function subject<Message>(name: string, codec: MessageCodec<Message>, message: Message): Subject {
  return { name, codec, sample: codec.encode(message) };
}

const subjects: readonly Subject[] = [
  subject('Empty', codecs.empty, {}),
  subject('DevicePluginOptions', codecs.devicePluginOptions, options),
  subject('RegisterRequest', codecs.registerRequest, {
    version: 'v1beta1',
    endpoint: 'a.sock',
    resourceName: 'example.org/nic',
    options,
  }),
  subject('ListAndWatchResponse', codecs.listAndWatchResponse, {
    devices: [{ id, health: 'Healthy', numaNodes: [0, 1] }],
  }),
  subject('PreferredAllocationRequest', codecs.preferredAllocationRequest, {
    containerRequests: [{ available: [id, 'b'], mustInclude: [id], size: 2 }],
  }),
  subject('AllocateRequest', codecs.allocateRequest, { containerRequests: [[id, '0000:3b:00.1'], []] }),
  subject('ContainerAllocateResponse', codecs.containerAllocateResponse, answer),
  subject('PreStartContainerRequest', codecs.preStartContainerRequest, { ids: [id] }),
  subject('ListPodResourcesResponse', codecs.listPodResourcesResponse, { podResources: [pod] }),
  subject('AllocatableResourcesResponse', codecs.allocatableResourcesResponse, {
    devices: [{ resourceName: 'example.org/nic', ids: [id], numaNodes: [] }],
  }),
  subject('RegistrationStatus', codecs.registrationStatus, { pluginRegistered: true, error: 'none' }),
];

const inputs = tuple(constantFrom(...subjects), mutatedBytes(subjects.map(({ sample }) => sample)));

export const grpcTarget = fuzzTarget('grpc', ['decoded', 'refused'], inputs, ([{ codec, name }, bytes]) => {
  const message = decode(codec, bytes);
  if (message === undefined) return 'refused';
  mustHold(noneIs(message, undefined), `every field of ${name} is there`);
  const again = codec.decode(codec.encode(message));
  mustHold(JSON.stringify(again) === JSON.stringify(message), `${name} says the same when encoded again`);
  return 'decoded';
});

/** undefined: the bytes are no such message. */
function decode(codec: MessageCodec<unknown>, bytes: Uint8Array): unknown {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function noneIs(value: unknown, wanted: unknown): boolean {
  if (value === wanted) return false;
  return typeof value !== 'object' || value === null || Object.values(value).every((one) => noneIs(one, wanted));
}

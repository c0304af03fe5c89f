import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import * as codec from '../../../src/kubelet/codec.ts';
import type { MessageCodec } from '../../../src/kubelet/codec.ts';
import * as contracts from '../../../src/kubelet/contracts.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const text = (value: string): string => Buffer.from(value).toString('hex');

/** A length-delimited field written by hand: tag, length, content (all hexadecimal). */
function field(number: number, content: string): string {
  const byte = (value: number): string => value.toString(16).padStart(2, '0');
  return byte(number * 8 + 2) + byte(content.length / 2) + content;
}

function golden<Message>(name: string, type: MessageCodec<Message>, message: Message, bytes: string): void {
  it(`${name} has its golden bytes in both directions`, () => {
    expect(hex(type.encode(message))).toBe(bytes);
    expect(type.decode(Buffer.from(bytes, 'hex'))).toEqual(message);
  });
}

describe('device plugin messages', () => {
  golden('Empty', codec.empty, {}, '');
  golden(
    'DevicePluginOptions',
    codec.devicePluginOptions,
    { preStartRequired: true, getPreferredAllocationAvailable: true },
    '08011001',
  );
  golden(
    'RegisterRequest',
    codec.registerRequest,
    {
      version: 'v1beta1',
      endpoint: 'x.sock',
      resourceName: 'a.b/c',
      options: { preStartRequired: true, getPreferredAllocationAvailable: false },
    },
    field(1, text('v1beta1')) + field(2, text('x.sock')) + field(3, text('a.b/c')) + field(4, '0801'),
  );
  golden(
    'ListAndWatchResponse',
    codec.listAndWatchResponse,
    {
      devices: [
        { id: '0000:3b:00.0', health: 'Healthy', numaNodes: [1] },
        { id: 'b', health: 'Unhealthy', numaNodes: [] },
        { id: 'c', health: 'Healthy', numaNodes: [0] },
      ],
    },
    field(1, field(1, text('0000:3b:00.0')) + field(2, text('Healthy')) + field(3, field(1, '0801'))) +
      field(1, field(1, text('b')) + field(2, text('Unhealthy'))) +
      // Node 0 is a node: an empty NUMANode inside, where "no node" has no topology at all.
      field(1, field(1, text('c')) + field(2, text('Healthy')) + field(3, field(1, ''))),
  );
  golden('ListAndWatchResponse, empty', codec.listAndWatchResponse, { devices: [] }, '');
  golden(
    'PreferredAllocationRequest',
    codec.preferredAllocationRequest,
    { containerRequests: [{ available: ['a', 'b'], mustInclude: ['a'], size: 2 }] },
    field(1, field(1, text('a')) + field(1, text('b')) + field(2, text('a')) + '1802'),
  );
  golden(
    'PreferredAllocationResponse',
    codec.preferredAllocationResponse,
    { containerResponses: [['a', 'b'], []] },
    field(1, field(1, text('a')) + field(1, text('b'))) + field(1, ''),
  );
  golden(
    'AllocateRequest',
    codec.allocateRequest,
    { containerRequests: [['a', 'b']] },
    field(1, field(1, text('a')) + field(1, text('b'))),
  );
  const answer = {
    envs: { PCI_RESOURCE_A: '0000:3b:00.0' },
    mounts: [{ containerPath: '/c', hostPath: '/h', readOnly: true }],
    devices: [{ containerPath: '/dev/vfio/12', hostPath: '/dev/vfio/12', permissions: 'mrw' }],
    annotations: { k: 'v' },
    cdiDevices: ['v/c=d'],
  };
  const answerBytes =
    field(1, field(1, text('PCI_RESOURCE_A')) + field(2, text('0000:3b:00.0'))) +
    field(2, field(1, text('/c')) + field(2, text('/h')) + '1801') +
    field(3, field(1, text('/dev/vfio/12')) + field(2, text('/dev/vfio/12')) + field(3, text('mrw'))) +
    field(4, field(1, text('k')) + field(2, text('v'))) +
    field(5, field(1, text('v/c=d')));
  golden('ContainerAllocateResponse', codec.containerAllocateResponse, answer, answerBytes);
  it('AllocateResponse has its golden bytes in both directions', () => {
    const bytes = '0a' + varint(answerBytes.length / 2) + answerBytes;
    expect(hex(codec.allocateResponse.encode({ containerResponses: [answer] }))).toBe(bytes);
    expect(codec.allocateResponse.decode(Buffer.from(bytes, 'hex'))).toEqual({ containerResponses: [answer] });
  });
  golden('PreStartContainerRequest', codec.preStartContainerRequest, { ids: ['a'] }, field(1, text('a')));
});

/** A length above 127 takes two bytes, low seven bits first. */
function varint(value: number): string {
  return Buffer.from(value < 128 ? [value] : [(value & 127) | 128, value >> 7]).toString('hex');
}

describe('pod resources messages', () => {
  const devices = { resourceName: 'a.b/c', ids: ['x', 'y'], numaNodes: [1] };
  const devicesBytes = field(1, text('a.b/c')) + field(2, text('x')) + field(2, text('y')) + field(3, field(1, '0801'));
  const pod = { name: 'p', namespace: 'n', containers: [{ name: 'm', devices: [devices] }] };
  const podBytes = field(1, text('p')) + field(2, text('n')) + field(3, field(1, text('m')) + field(2, devicesBytes));
  golden('ListPodResourcesResponse', codec.listPodResourcesResponse, { podResources: [pod] }, field(1, podBytes));
  golden(
    'AllocatableResourcesResponse',
    codec.allocatableResourcesResponse,
    { devices: [devices] },
    field(1, devicesBytes),
  );
  golden(
    'GetPodResourcesRequest',
    codec.getPodResourcesRequest,
    { podName: 'p', podNamespace: 'n' },
    field(1, text('p')) + field(2, text('n')),
  );
  golden('GetPodResourcesResponse', codec.getPodResourcesResponse, { podResources: pod }, field(1, podBytes));
  golden('GetPodResourcesResponse, none', codec.getPodResourcesResponse, { podResources: null }, '');

  it('reads past everything it does not know: processors, memory, claims, and what comes later', () => {
    const more = field(4, '0102') + field(5, field(1, text('memory'))) + field(15, text('later'));
    const bytes = field(1, podBytes + more);
    expect(codec.listPodResourcesResponse.decode(Buffer.from(bytes, 'hex'))).toEqual({ podResources: [pod] });
  });

  it('refuses bytes that are cut off', () => {
    const bytes = Buffer.from(field(1, podBytes), 'hex');
    expect(() => codec.listPodResourcesResponse.decode(bytes.subarray(0, bytes.length - 1))).toThrow();
  });
});

describe('plugin registration messages', () => {
  golden(
    'PluginInfo',
    codec.pluginInfo,
    { type: 'DevicePlugin', name: 'a.b/c', endpoint: '', supportedVersions: ['v1beta1'] },
    field(1, text('DevicePlugin')) + field(2, text('a.b/c')) + field(4, text('v1beta1')),
  );
  golden(
    'RegistrationStatus',
    codec.registrationStatus,
    { pluginRegistered: true, error: 'no' },
    '0801' + field(2, text('no')),
  );
});

describe('the methods', () => {
  const files = ['deviceplugin.v1beta1.proto', 'podresources.v1.proto', 'pluginregistration.v1.proto'];
  const declared = files.flatMap((file) => {
    const source = readFileSync(new URL(`../../../proto/${file}`, import.meta.url), 'utf8');
    const { root, package: name } = protobuf.parse(source, new protobuf.Root());
    return Object.values(root.lookup(name ?? '') instanceof protobuf.Namespace ? root.nestedArray : [])
      .flatMap((space) => (space instanceof protobuf.Namespace ? space.nestedArray : []))
      .filter((entry) => entry instanceof protobuf.Service)
      .flatMap((service) => service.methodsArray.map((method) => `/${name}.${service.name}/${method.name}`));
  });

  it('are those that the proto files declare', () => {
    const used = [
      contracts.registration,
      contracts.devicePlugin,
      contracts.podResources,
      contracts.pluginRegistration,
    ].flatMap((service) => Object.values(service).map((method) => method.path));
    expect(new Set(used)).toEqual(new Set(declared));
    expect(used).toHaveLength(11);
    expect(declared).toHaveLength(11);
  });
});

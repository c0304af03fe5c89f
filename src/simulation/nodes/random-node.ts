// Nodes by chance, for properties that must hold on any machine: so many devices in so many groups, ordinary and odd, always with
// a root disk and an uplink that must never be taken.
import type { ChildSpec, KernelSpec, MountSpec, PciSpec } from '../kernel/spec.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { rootPort } from './demo-node.ts';
import { hostModules, variantModule, vfioModules } from './modules.ts';

/** How large, and on which kernel. */
export interface RandomNodeOptions {
  /** Endpoints beside the root disk and the uplink. */
  readonly devices: number;
  /** IOMMU groups that those lie in; at most `devices`. */
  readonly groups: number;
  readonly release?: string;
  /** Share of disks that carry a file system, and of those, of mounted ones. Default one half each. */
  readonly usedDisks?: number;
}

/** A node and what is special about it. */
export interface RandomNode {
  readonly spec: KernelSpec;
  /** The endpoints, in order. */
  readonly addresses: readonly string[];
  /** Must never be taken: root disk, uplink, mounted disks. */
  readonly critical: readonly string[];
}

interface Kind {
  readonly weight: number;
  build(place: Place, random: SeededRandom): PciSpec;
}

/** Where an endpoint goes. */
interface Place {
  readonly address: string;
  readonly parent: string;
  readonly group: string;
  readonly numaNode: number;
  readonly index: number;
}

const kinds: readonly Kind[] = [
  {
    weight: 3,
    build: (place) => endpoint(place, '10de', '2204', '030000', [{ kind: 'drm', card: `card${place.index + 1}` }]),
  },
  { weight: 2, build: (place) => endpoint(place, '10de', '1aef', '040300') },
  {
    weight: 4,
    build: (place) => endpoint(place, '8086', '10d3', '020000', [{ kind: 'net', name: `ens${place.index}` }]),
  },
  { weight: 2, build: (place) => endpoint(place, '1234', '11e8', '00ff00') },
  { weight: 3, build: (place) => endpoint(place, '144d', 'a808', '010802', [disk(place)]) },
  {
    weight: 2,
    build: (place) => ({
      ...endpoint(place, '15b3', '101d', '020000', [{ kind: 'net', name: `ens${place.index}np0` }]),
      sriov: { total: 4, vfDevice: '101e', offset: 8, stride: 1 },
    }),
  },
];

/** Builds a node; the same random state gives the same node. */
export function createRandomNode(random: SeededRandom, options: RandomNodeOptions): RandomNode {
  const { devices: count, groups, usedDisks = 0.5 } = options;
  const ports: PciSpec[] = [];
  const endpoints: PciSpec[] = [];
  const mounts: MountSpec[] = [{ number: '259:1', source: '/dev/nvme0n1p1', target: '/', type: 'ext4' }];
  const critical = ['0000:01:00.0', '0000:02:00.0'];
  const fixed = [rootPort('0000:00:01.0', 0x01), rootPort('0000:00:02.0', 0x02), rootDisk(), uplink()];
  const perGroup = spread(random, count, Math.min(groups, count));
  let index = 0;
  for (const [group, members] of perGroup.entries()) {
    const bus = 3 + group * 2;
    const domain = Math.floor(bus / 250);
    const busHex = (bus % 250).toString(16).padStart(2, '0');
    const domainHex = domain.toString(16).padStart(4, '0');
    const parent = `${domainHex}:00:${(3 + (group % 28)).toString(16).padStart(2, '0')}.${Math.floor(group / 28) % 8}`;
    const numaNode = random.below(2);
    if (!ports.some(({ address }) => address === parent)) ports.push(rootPort(parent, bus % 250, numaNode));
    for (let member = 0; member < members; member += 1) {
      const address = `${domainHex}:${busHex}:${(member >> 3).toString(16).padStart(2, '0')}.${member & 7}`;
      const place = { address, parent, group: `group ${group}`, numaNode, index: 10 + index };
      const spec = pickKind(random).build(place, random);
      endpoints.push(members > 1 ? withoutSriov(spec) : spec);
      if (spec.device === 'a808' && random.chance(usedDisks)) {
        endpoints[endpoints.length - 1] = formatted(spec, place);
        if (random.chance(usedDisks)) {
          critical.push(address);
          const source = `/dev/nvme${place.index}n1`;
          mounts.push({ number: `259:${place.index}`, source, target: `/data/${place.index}`, type: 'ext4' });
        }
      }
      index += 1;
    }
  }
  return {
    spec: {
      release: options.release ?? '6.12.95-amd64',
      devices: [...fixed, ...ports, ...endpoints],
      modules: [...hostModules, ...vfioModules, ...variants],
      mounts,
      routes: [{ family: 4, destination: 'default', gateway: '10.0.2.2', interface: 'eno1' }],
    },
    addresses: endpoints.map(({ address }) => address),
    critical,
  };
}

const variants = [
  variantModule('mlx5_vfio_pci', ['vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i*'], { depends: ['mlx5_core'] }),
  variantModule('nvgrace_gpu_vfio_pci', ['vfio_pci:v000010DEd00002204sv*sd*bc*sc*i*']),
  variantModule('e1000e_vfio_pci', ['vfio_pci:v00008086d000010D3sv*sd*bc*sc*i*'], { driver: 'e1000e-vfio' }),
];

function endpoint(
  { address, parent, group, numaNode }: Place,
  vendor: string,
  device: string,
  classCode: string,
  children: readonly ChildSpec[] = [],
): PciSpec {
  return { address, parent, group, numaNode, vendor, device, class: classCode, children };
}

function disk({ index }: Place): ChildSpec {
  const namespaces = [{ name: `nvme${index}n1`, number: `259:${index}` }];
  return { kind: 'nvme', controller: `nvme${index}`, serial: `SERIAL${index}`, namespaces };
}

function formatted(spec: PciSpec, { index }: Place): PciSpec {
  const namespaces = [{ name: `nvme${index}n1`, number: `259:${index}`, udev: { ID_FS_TYPE: 'ext4' } }];
  return { ...spec, children: [{ kind: 'nvme', controller: `nvme${index}`, serial: `SERIAL${index}`, namespaces }] };
}

/** Functions that share a device with others do not make VFs here: their routing ids would collide. */
function withoutSriov(spec: PciSpec): PciSpec {
  const { sriov: _, ...rest } = spec;
  return rest;
}

function rootDisk(): PciSpec {
  return {
    address: '0000:01:00.0',
    parent: '0000:00:01.0',
    vendor: '144d',
    device: 'a808',
    class: '010802',
    children: [
      {
        kind: 'nvme',
        controller: 'nvme0',
        serial: 'ROOT',
        namespaces: [
          {
            name: 'nvme0n1',
            number: '259:0',
            partitions: [{ name: 'nvme0n1p1', number: '259:1', udev: { ID_FS_TYPE: 'ext4' } }],
          },
        ],
      },
    ],
  };
}

function uplink(): PciSpec {
  return {
    address: '0000:02:00.0',
    parent: '0000:00:02.0',
    vendor: '8086',
    device: '10d3',
    class: '020000',
    children: [{ kind: 'net', name: 'eno1', up: true, ipv4: ['10.0.2.15/24'] }],
  };
}

function pickKind(random: SeededRandom): Kind {
  let left = random.below(kinds.reduce((sum, { weight }) => sum + weight, 0));
  for (const kind of kinds) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return random.pick(kinds);
}

/** `count` members over `groups` groups, each with at least one. */
function spread(random: SeededRandom, count: number, groups: number): readonly number[] {
  const sizes = Array.from({ length: groups }, () => 1);
  for (let left = count - groups; left > 0; left -= 1) {
    const group = random.below(groups);
    sizes[group] = (sizes[group] ?? 0) + 1;
  }
  return sizes;
}

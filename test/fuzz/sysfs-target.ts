// A host whose sysfs holds anything: bytes that are no text, NULs, a mebibyte, files and links that vanish between listing and reading or
// give errors. The scan says nothing impossible or says that it cannot; and what is planned on it takes no device that does not show,
// in so many bytes, the ids that the policy asks for.
import { array, constantFrom, nat, oneof, record, string, tuple, uint8Array } from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { buses } from '../../src/domain/device.ts';
import type { Inventory } from '../../src/domain/device.ts';
import { plan } from '../../src/domain/plan.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createScanner } from '../../src/host/scan-inventory.ts';
import { HostUnreadable } from '../../src/host/scan-view.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import type { MemoryFiles } from '../../src/simulation/memory-files.ts';
import { aPlanInput, aPolicy } from '../support/builders.ts';
import { createHostTree, memorySink } from '../support/host-tree.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { mutatedBytes } from './mutated-bytes.ts';

const bridge = '0000:00:01.0';
const device = '0000:01:00.0';
const attributes = [
  'vendor',
  'device',
  'class',
  'modalias',
  'numa_node',
  'sriov_totalvfs',
  'acpi_index',
  'config',
  'uevent',
];
const links = ['driver', 'iommu_group', 'physfn', 'virtfn0', 'subsystem'];

const content = mutatedBytes(
  [
    '0x8086\n',
    '0x10d3\n',
    '0x020000\n',
    '0x15b3\n',
    'pci:v00008086d000010D3sv00000000sd00000000bc02sc00i00\n',
    '-1\n',
    '0\n',
  ].map((text) => new Uint8Array(Buffer.from(text))),
  200,
);

/** One thing that is odd about the host. */
type Oddity =
  | { readonly kind: 'content'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }
  | { readonly kind: 'fault'; readonly name: string; readonly errno: string; readonly after: number };

const oddity: Arbitrary<Oddity> = oneof(
  {
    weight: 4,
    arbitrary: record({ kind: constantFrom('content' as const), name: constantFrom(...attributes), bytes: content }),
  },
  {
    weight: 1,
    arbitrary: record({
      kind: constantFrom('link' as const),
      name: constantFrom(...links),
      target: oneof(
        constantFrom(
          '..',
          '/',
          '',
          '../../kernel/iommu_groups/3',
          '../../kernel/iommu_groups/x',
          `../${device}`,
          `../${bridge}`,
        ),
        string({ maxLength: 20 }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: record({
      kind: constantFrom('fault' as const),
      name: constantFrom(...attributes, ...links, device, bridge, 'devices', 'reserved_regions', '3'),
      errno: constantFrom('ENOENT', 'ENODEV', 'EIO', 'EACCES', 'EINVAL', 'EPERM', 'ELOOP', 'ENOTDIR'),
      after: nat(4),
    }),
  },
);

const policy = aPolicy({ name: 'nics', devices: [{ vendor: '8086', device: '10d3', class: '02' }] });

export const sysfsTarget = fuzzTarget(
  'sysfs',
  ['bound', 'left', 'unreadable'],
  tuple(array(oddity, { maxLength: 4 }), uint8Array({ maxLength: 80 })),
  async ([oddities, config]) => {
    const files = makeHost(oddities, config);
    const inventory = await scan(files, oddities);
    if (inventory === null) return 'unreadable';
    examine(inventory);
    const { decisions } = plan({ ...aPlanInput({ policies: [policy] }), inventory: withGuarded(inventory) });
    const taken = decisions.filter(({ kind }) => kind === 'Bind' || kind === 'Bound');
    for (const { address } of taken) {
      mustHold(address !== bridge || inventory.devices.get(bridge)?.isBridge === false, 'no bridge is taken');
      // An attribute is a C string: what follows a NUL is not shown.
      const shown = (name: string): string =>
        (files.readText(`/sys/bus/pci/devices/${address}/${name}`).split('\0')[0] ?? '').trim().toLowerCase();
      mustHold(
        Number(shown('vendor')) === 0x8086 && Number(shown('device')) === 0x10d3,
        `${address} shows the ids asked for`,
      );
    }
    return taken.length > 0 ? 'bound' : 'left';
  },
);

function makeHost(oddities: readonly Oddity[], config: Uint8Array): MemoryFiles {
  const files = createMemoryFiles();
  const tree = createHostTree(memorySink(files));
  tree.addFunction({
    address: bridge,
    isBridge: true,
    vendor: '1b36',
    device: '000c',
    classCode: '060400',
    driver: 'pcieport',
    iommuGroup: 2,
  });
  const ids = { vendor: '8086', device: '10d3', classCode: '020000', driver: 'e1000e' };
  tree.addFunction({
    address: device,
    behind: bridge,
    ...ids,
    iommuGroup: 3,
    ...(config.length > 40 ? { config } : {}),
  });
  const directory = tree.directoryOf(device);
  const seen = new Map<string, number>();
  for (const odd of oddities) {
    if (odd.kind === 'content') files.put(`${directory}/${odd.name}`, { file: odd.bytes });
    if (odd.kind === 'link') files.put(`${directory}/${odd.name}`, { link: odd.target });
  }
  const faults = oddities.filter((odd) => odd.kind === 'fault');
  if (faults.length === 0) return files;
  files.setFault((_, path) => {
    const fault = faults.find(({ name }) => path.endsWith(`/${name}`));
    if (fault === undefined) return null;
    const times = seen.get(fault.name) ?? 0;
    seen.set(fault.name, times + 1);
    return times >= fault.after ? fault.errno : null;
  });
  return files;
}

/** What the kernel worker would read: nothing is set. */
function withGuarded(inventory: Inventory): Inventory {
  const guarded = { driverOverride: null, autoprobe: null };
  const devices = [...inventory.devices].map(([address, one]) => [address, { ...one, guarded }] as const);
  return { ...inventory, devices: new Map(devices) };
}

/** null: the host cannot be read, and the scan says so. */
async function scan(files: MemoryFiles, oddities: readonly Oddity[]): Promise<Inventory | null> {
  try {
    return await createScanner({ files, paths: hostPaths() }).scan({ wantSerialNumbers: oddities.length % 2 === 0 });
  } catch (error) {
    if (error instanceof HostUnreadable && oddities.some(({ kind }) => kind === 'fault')) return null;
    throw error;
  } finally {
    files.setFault(() => null);
  }
}

function examine({ devices, groups }: Inventory): void {
  for (const [address, one] of devices) {
    mustHold(address === one.address && buses.includes(one.bus), 'address and bus');
    for (const id of [one.vendor, one.device]) mustHold(id === null || /^[0-9a-f]{4}$/.test(id), 'ids');
    mustHold(one.classCode === null || /^[0-9a-f]{6}$/.test(one.classCode), 'class');
    mustHold(one.iommuGroup === null || groups.has(one.iommuGroup), 'group');
    mustHold(
      one.virtualFunctions.every((name) => devices.has(name)),
      'virtual functions',
    );
    mustHold(one.numaNode === null || (Number.isSafeInteger(one.numaNode) && one.numaNode >= 0), 'NUMA node');
    mustHold((one.modalias ?? '').length <= 65_536 && (one.driver ?? '').length <= 255, 'texts of bounded length');
  }
}

// Whatever bytes attributes and links hold, and whatever errno reads give, the scan returns and says nothing impossible.
import * as fc from 'fast-check';
import { describe, it } from 'vitest';
import { buses } from '../../src/domain/device.ts';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createScanner } from '../../src/host/scan-inventory.ts';
import { HostUnreadable } from '../../src/host/scan-view.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import { createHostTree, memorySink } from '../support/host-tree.ts';

const addresses = ['0000:00:01.0', '0000:01:00.0', '0000:01:00.1'];
const attributes = [
  'vendor',
  'device',
  'class',
  'modalias',
  'numa_node',
  'sriov_totalvfs',
  'acpi_index',
  'serial_number',
  'secondary_bus_number',
];
const links = ['driver', 'iommu_group', 'physfn', 'virtfn0', 'virtfn1'];
const groupFiles = ['reserved_regions', 'name'];

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.constantFrom('0x', '0x12345', '-1', '99999999999', '0xffffffff', '\0', '1e9').map((text) => Buffer.from(text)),
);
const linkText = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom('..', '/', '', '../../kernel/iommu_groups/3', ...addresses.map((address) => `../${address}`)),
);
const errno = fc.constantFrom('EACCES', 'EIO', 'ENODEV', 'EINVAL', 'ENOENT', 'EPERM', 'ELOOP');

describe('a scan', () => {
  it('withstands any content', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom(...attributes), bytes),
        fc.dictionary(fc.constantFrom(...links), linkText),
        fc.dictionary(fc.constantFrom(...groupFiles), bytes),
        fc.uint8Array({ minLength: 0, maxLength: 600 }),
        fc.array(fc.tuple(fc.constantFrom(...attributes, ...links, 'config', 'vpd_pg80'), errno), { maxLength: 4 }),
        async (texts, targets, groupTexts, raw, faults) => {
          const files = createMemoryFiles();
          const tree = createHostTree(memorySink(files));
          for (const address of addresses) tree.addFunction({ address, iommuGroup: 3, config: raw });
          tree.addScsiDisk('0000:00:01.0', 'sda', 'X');
          const directory = tree.directoryOf('0000:01:00.0');
          for (const [name, text] of Object.entries(texts)) files.put(`${directory}/${name}`, { file: text });
          for (const [name, link] of Object.entries(targets)) files.put(`${directory}/${name}`, { link });
          for (const [name, text] of Object.entries(groupTexts)) {
            files.put(`/sys/kernel/iommu_groups/3/${name}`, { file: text });
          }
          files.put('/sys/block/sda/device/vpd_pg80', { file: raw });
          files.setFault((_, path) => faults.find(([name]) => path.endsWith(`/${name}`))?.[1] ?? null);
          const live = createScanner({ files, paths: hostPaths() });
          await live.scan({ wantSerialNumbers: true }).catch((error: unknown) => {
            assertShape(error instanceof HostUnreadable && faults.length > 0, 'error');
          });
          const scanner = createScanner({ files, paths: hostPaths('/', 'copy') });
          for (const wantSerialNumbers of [false, true]) {
            const inventory = await scanner.scan({ wantSerialNumbers });
            for (const [address, device] of inventory.devices) {
              assertShape(address === device.address && buses.includes(device.bus), 'address and bus');
              assertShape([device.vendor, device.device].every(isNullOr(/^[0-9a-f]{4}$/)), 'ids');
              assertShape(isNullOr(/^[0-9a-f]{6}$/)(device.classCode), 'class');
              assertShape(isNullOr(/^[0-9a-f]{2}(-[0-9a-f]{2}){7}$/)(device.serialNumber), 'serial number');
              assertShape(device.iommuGroup === null || inventory.groups.has(device.iommuGroup), 'group');
              assertShape(
                device.virtualFunctions.every((name) => inventory.devices.has(name)),
                'VFs',
              );
              assertShape(device.numaNode === null || device.numaNode >= 0, 'NUMA node');
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

function isNullOr(pattern: RegExp): (text: string | null) => boolean {
  return (text) => text === null || pattern.test(text);
}

function assertShape(holds: boolean, what: string): void {
  if (!holds) throw new Error(`wrong shape: ${what}`);
}

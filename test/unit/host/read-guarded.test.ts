import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { WorkerUnavailable, type KernelWorker } from '../../../src/host/ports.ts';
import { readGuarded, withGuarded } from '../../../src/host/read-guarded.ts';
import { createScanner } from '../../../src/host/scan-inventory.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createHostTree, memorySink, type FunctionSpec } from '../../support/host-tree.ts';

const none: ReadonlySet<string> = new Set();
const override = (address: string) => `/sys/bus/pci/devices/${address}/driver_override`;
const autoprobe = (address: string) => `/sys/bus/pci/devices/${address}/sriov_drivers_autoprobe`;

/** A worker over a table of answers: a text, an errno with `!` before it, or `hang`. */
function tableWorker(table: Readonly<Record<string, string>>, limit = 8) {
  const requests: (readonly string[])[] = [];
  let abandoned = 0;
  const worker: KernelWorker = {
    lease: () => Promise.reject(new WorkerUnavailable('reads need no lease')),
    get abandoned() {
      return abandoned;
    },
    close() {},
    async read(paths) {
      if (abandoned >= limit) throw new WorkerUnavailable(`${limit} workers are stuck`);
      requests.push(paths);
      if (paths.some((path) => table[path] === 'hang')) {
        abandoned += 1;
        const identity = { pid: 100 + abandoned, startTime: '1' };
        return { outcome: 'Stuck', worker: identity, returned: Promise.resolve() };
      }
      const results = paths.map((path) => {
        const answer = table[path] ?? '!ENOENT';
        return answer.startsWith('!') ? { errno: answer.slice(1) } : { text: answer };
      });
      return { outcome: 'Read', results };
    },
  };
  return { worker, requests };
}

async function inventoryOf(specs: readonly FunctionSpec[]) {
  const files = createMemoryFiles();
  const tree = createHostTree(memorySink(files));
  for (const spec of specs) tree.addFunction(spec);
  return await createScanner({ files, paths: hostPaths() }).scan({ wantSerialNumbers: false });
}

async function read(
  specs: readonly FunctionSpec[],
  table: Readonly<Record<string, string>>,
  excluded: ReadonlySet<string> = none,
  limit = 8,
) {
  const inventory = await inventoryOf(specs);
  const fake = tableWorker(table, limit);
  const devices = [...inventory.devices.values()];
  const reading = await readGuarded(fake.worker, hostPaths(), devices, { excluded, deadline: 1000 });
  return { inventory, reading, ...fake };
}

describe('guarded attributes', () => {
  it('are unset for (null), for empty and where the bus has none', async () => {
    const addresses = ['0000:01:00.0', '0000:02:00.0', '0000:03:00.0', '0000:04:00.0'];
    const { reading } = await read(
      addresses.map((address) => ({ address })),
      {
        [override('0000:01:00.0')]: '(null)\n',
        [override('0000:02:00.0')]: '\n',
        [override('0000:04:00.0')]: 'vfio-pci\n',
      },
    );
    expect(addresses.map((address) => reading.values.get(address)?.driverOverride)).toEqual([
      null,
      null,
      null,
      'vfio-pci',
    ]);
    expect(reading.unread).toEqual([]);
  });

  it('include autoprobe for devices that can make VFs', async () => {
    const specs = ['0000:01:00.0', '0000:02:00.0'].map((address) => ({ address, totalVirtualFunctions: 4 }));
    const { reading } = await read([...specs, { address: '0000:03:00.0' }], {
      [autoprobe('0000:01:00.0')]: '1\n',
      [autoprobe('0000:02:00.0')]: '0\n',
      [autoprobe('0000:03:00.0')]: '1\n',
    });
    expect([...reading.values.values()].map((value) => value.autoprobe)).toEqual([true, false, null]);
  });

  it('that cannot be read are no value at all', async () => {
    const address = '0000:01:00.0';
    const { reading } = await read([{ address }], { [override(address)]: '!EACCES' });
    expect(reading.values.size).toBe(0);
    expect(reading.unread).toEqual([{ source: override(address), why: 'read: EACCES' }]);
  });

  it('are filled into the inventory', async () => {
    const specs = [{ address: '0000:01:00.0' }, { address: '0000:02:00.0' }];
    const { inventory, reading } = await read(specs, { [override('0000:02:00.0')]: '!EIO' });
    const filled = withGuarded(inventory, reading);
    expect(filled.devices.get('0000:01:00.0')?.guarded).toEqual({ driverOverride: null, autoprobe: null });
    expect(filled.devices.get('0000:02:00.0')?.guarded).toBeNull();
    expect(filled.unread).toHaveLength(1);
  });
});

describe('a read that does not return', () => {
  const many = Array.from({ length: 200 }, (_, index) => ({
    address: `0000:${(index + 1).toString(16).padStart(2, '0')}:00.0`,
    iommuGroup: index,
  }));

  it('marks its device and nobody else', async () => {
    const { reading, worker } = await read(many, { [override('0000:05:00.0')]: 'hang' });
    expect(reading.stuck.map(({ address, worker }) => [address, worker.pid])).toEqual([['0000:05:00.0', 102]]);
    expect(reading.values.size).toBe(199);
    expect(worker.abandoned).toBe(2);
  });

  it('costs batches, not requests per device, while all goes well', async () => {
    const { requests } = await read(many, {});
    expect(requests).toHaveLength(2);
  });

  it('leaves the group, the PF and the VFs of its device alone', async () => {
    const specs: FunctionSpec[] = [
      { address: '0000:01:00.0', totalVirtualFunctions: 2, iommuGroup: 1 },
      { address: '0000:01:00.1', physicalFunction: '0000:01:00.0', iommuGroup: 2 },
      { address: '0000:01:00.2', physicalFunction: '0000:01:00.0', iommuGroup: 3 },
      { address: '0000:02:00.0', iommuGroup: 4 },
      { address: '0000:02:00.1', iommuGroup: 4 },
      { address: '0000:03:00.0' },
    ];
    const table = {
      [override('0000:01:00.0')]: 'hang',
      [override('0000:01:00.2')]: 'hang',
      [override('0000:02:00.0')]: 'hang',
      [override('0000:02:00.1')]: 'hang',
    };
    const { reading, worker } = await read(specs, table);
    expect(reading.stuck.map(({ address }) => address)).toEqual(['0000:01:00.0', '0000:02:00.0']);
    expect([...reading.values.keys()]).toEqual(['0000:03:00.0']);
    expect(worker.abandoned).toBe(3);
  });

  it('is not begun for excluded devices', async () => {
    const excluded = new Set(['0000:05:00.0']);
    const { reading, requests } = await read(many, { [override('0000:05:00.0')]: 'hang' }, excluded);
    expect(reading.stuck).toEqual([]);
    expect(reading.values.has('0000:05:00.0')).toBe(false);
    expect(requests.flat()).not.toContain(override('0000:05:00.0'));
  });

  it('ends the reading when no worker is left, and what was read stays', async () => {
    const table = Object.fromEntries(['0000:03:00.0', '0000:04:00.0'].map((address) => [override(address), 'hang']));
    const { reading } = await read(many, table, none, 2);
    expect(reading.stuck.map(({ address }) => address)).toEqual(['0000:03:00.0']);
    expect([...reading.values.keys()]).toEqual(['0000:01:00.0', '0000:02:00.0']);
    expect(reading.unread[0]?.why).toBe('2 workers are stuck');
  });
});

// The host's own scanners and proofs on the simulated node: what they must find there is what the node was built with.
import { describe, expect, it } from 'vitest';
import { hostPaths } from '../../src/host/host-paths.ts';
import { createHostObserver } from '../../src/host/observe-host.ts';
import type { HostObservation } from '../../src/host/observe-host.ts';
import { emptyLedger } from '../../src/domain/ledger.ts';
import type { KernelSpec } from '../../src/simulation/kernel/spec.ts';
import { demoAddresses, demoNode } from '../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { settleByImmediate } from '../../src/simulation/settle-adapter.ts';
import { createSimulatedDisks } from '../../src/simulation/simulated-disks.ts';
import { createSimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import type { SimulatedKernel } from '../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';

const at = demoAddresses;

/** One look at a simulated node, with every device of interest. */
async function look(spec: KernelSpec, prepare: (kernel: SimulatedKernel) => void = () => {}): Promise<HostObservation> {
  const clock = createVirtualClock({ settle: settleByImmediate });
  const kernel = createSimulatedKernel({ spec, clock, random: createSeededRandom(1) });
  prepare(kernel);
  const observer = createHostObserver({
    files: kernel.files,
    paths: hostPaths(),
    worker: kernel.worker,
    clock,
    proofs: { disks: createSimulatedDisks(kernel.files), nodeAddresses: [], endpoints: [], ownAddresses: () => [] },
    mayLoad: true,
    readDeadline: 1_000,
  });
  const request = { policies: [], ledger: emptyLedger, alsoInterested: spec.devices.map(({ address }) => address) };
  let seen: HostObservation | null = null;
  let failure: unknown = null;
  observer.observe(request).then(
    (value) => (seen = value),
    (error: unknown) => (failure = error),
  );
  await clock.runUntil(() => seen !== null || failure !== null, 60_000);
  if (seen === null) throw failure ?? new Error('the look did not end');
  return seen;
}

/** `ADDRESS CODE` of every finding, sorted. */
const codes = (seen: HostObservation): readonly string[] =>
  [...new Set(seen.findings.map(({ address, code }) => `${address} ${code}`))].sort();

describe("the demo's node, read by the host's own code", () => {
  it('shows every device as it was built, and nothing that cannot be read', async () => {
    const { inventory, unread } = await look(demoNode);
    expect(unread).toEqual([]);
    expect([...inventory.devices.keys()].sort()).toEqual(demoNode.devices.map(({ address }) => address).sort());
    expect(inventory.devices.get(at.gpu)).toMatchObject({
      vendor: '10de',
      device: '2204',
      classCode: '030000',
      driver: 'nouveau',
      numaNode: 0,
      slot: '1',
      isBridge: false,
      guarded: { driverOverride: null, autoprobe: null },
    });
    const group = inventory.groups.get(inventory.devices.get(at.gpu)?.iommuGroup ?? -1);
    expect(group?.members).toEqual([at.gpu, at.gpuAudio]);
    expect(inventory.devices.get(at.connectX)).toMatchObject({
      totalVirtualFunctions: 8,
      interfaces: ['ens4np0'],
      guarded: { driverOverride: null, autoprobe: true },
    });
    expect(inventory.devices.get(at.rootDisk)?.diskSerial).toBe('S4EVNX0R100001');
    expect(inventory.devices.get('0000:00:01.0')?.isBridge).toBe(true);
    expect(inventory.kernel).toMatchObject({ release: '6.12.95-amd64', iommu: true, iommufd: false });
  });

  it('proves what the node lives on, and nothing of what is free', async () => {
    const seen = codes(await look(demoNode));
    expect(seen).toContain(`${at.rootDisk} RootStorage`);
    expect(seen).toContain(`${at.uplink} PrimaryNetwork`);
    expect(seen).toContain(`${at.display} BootDisplay`);
    const free: readonly string[] = [at.gpu, at.gpuAudio, at.connectX, at.spareNic, at.spareDisk];
    expect(seen.filter((line) => free.some((address) => line.startsWith(address)))).toEqual([]);
  });

  it('sees who has a device open', async () => {
    const seen = await look(demoNode, ({ control }) => {
      control.openFile('/dev/dri/renderD128', 'blender');
      control.openFile('/dev/nvme1n1', 'ceph-osd');
    });
    expect(codes(seen)).toContain(`${at.gpu} ActiveGpu`);
    expect(codes(seen)).toContain(`${at.spareDisk} StorageInUse`);
  });

  it('takes a source away and finds everything unproven, never unused', async () => {
    const seen = await look(demoNode, ({ files }) => {
      files.setFault((_operation, path) => (path === '/proc/1/mountinfo' ? 'EACCES' : null));
    });
    expect(codes(seen)).toContain(`${at.spareDisk} Unproven`);
  });
});

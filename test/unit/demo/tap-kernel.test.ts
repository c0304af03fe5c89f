// Listening in changes nothing, and shows what the kernel answered.
import { expect, test } from 'vitest';
import { createNodeRecord } from '../../../src/demo/record.ts';
import { tapProcesses, tapWorker } from '../../../src/demo/tap-kernel.ts';
import { demoAddresses, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createSimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

const nic = demoAddresses.spareNic;

function aNode() {
  const clock = createVirtualClock();
  const kernel = createSimulatedKernel({ spec: demoNode, clock, random: createSeededRandom(1) });
  const record = createNodeRecord(() => clock.monotonic());
  const worker = tapWorker(kernel.worker, kernel.files, record);
  const write = async (path: string, text: string) => {
    const lease = await worker.lease();
    const outcome = lease.write(path, text, 1_000);
    await clock.advance(2_000);
    lease.release();
    return (await outcome).outcome;
  };
  return { kernel, record, worker, write, processes: tapProcesses(kernel.processes, record) };
}

test('a write with its answer and what reads back', async () => {
  const { record, write } = aNode();
  await write('/sys/bus/pci/drivers/e1000e/unbind', nic);
  await write(`/sys/bus/pci/devices/${nic}/driver_override`, 'e1000e\n');
  await write('/sys/bus/pci/drivers_probe', nic);
  await write('/sys/bus/pci/drivers/nvme/unbind', nic);
  expect(record.happenings).toMatchObject([
    { text: nic, answer: 'ok', readBack: null },
    { text: 'e1000e', answer: 'ok', readBack: 'e1000e' },
    { text: nic, answer: 'ok', readBack: 'e1000e' },
    { text: nic, answer: 'ENODEV', readBack: 'e1000e' },
  ]);
});

test('a write that does not return is recorded as such, and nothing is read that could wait for it', async () => {
  const { kernel, record, write } = aNode();
  kernel.control.failProbe(nic, 'hang');
  await write('/sys/bus/pci/drivers/e1000e/unbind', nic);
  expect(await write('/sys/bus/pci/drivers/e1000e/bind', nic)).toBe('Stuck');
  expect(record.happenings.at(-1)).toMatchObject({ answer: 'no answer', readBack: null });
});

test('a program with its exit code', async () => {
  const { record, processes } = aNode();
  const [good, bad] = [
    ['--', 'vfio_pci'],
    ['--', 'no_such_module'],
  ];
  expect((await processes.run('modprobe', good ?? [], { deadline: 1_000 })).code).toBe(0);
  const failed = await processes.run('modprobe', bad ?? [], { deadline: 1_000 });
  expect(record.happenings).toMatchObject([
    { kind: 'Command', command: 'modprobe -- vfio_pci', code: 0 },
    { kind: 'Command', command: 'modprobe -- no_such_module', code: failed.code },
  ]);
  expect(failed.code).not.toBe(0);
});

// Machines of which next to nothing can be seen: a container without sysfs, a host without PCI. Unknown is said, and nothing crashes.
import { expect, test } from 'vitest';
import type { CliParts } from '../../../src/cli/cli-parts.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { createTerminal } from '../../../src/cli/terminal.ts';
import { WorkerUnavailable } from '../../../src/host/ports.ts';
import { FileError, type Files } from '../../../src/runtime/ports.ts';
import { createMemoryFiles, type MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import type { CliRun } from '../../support/run-cli.ts';

function emptyMachine(): MemoryFiles {
  const clock = createVirtualClock();
  return createMemoryFiles({ now: () => clock.now(), schedule: (deliver) => void clock.after(0, deliver) });
}

async function run(files: Files, ...args: readonly string[]): Promise<CliRun> {
  let stdout = '';
  let stderr = '';
  const refuse = (): Promise<never> => Promise.reject(new WorkerUnavailable('no process can be started'));
  const parts: CliParts = {
    files,
    clock: createVirtualClock(),
    sockets: { listen: refuse, ask: refuse },
    terminal: createTerminal(
      (text) => (stdout += text),
      (text) => (stderr += text),
      { colour: false },
    ),
    worker: { lease: refuse, read: refuse, abandoned: 0, close: () => undefined },
    proofs: {},
    readPods: refuse,
    writer: refuse,
    openCluster: () => Promise.reject(new Error('nothing here asks a cluster')),
    toYaml: refuse,
  };
  const code = await runProgram(['node', 'vfio-operator', ...args], parts);
  return { code, stdout, stderr };
}

test('devices without sysfs: none, and why', async () => {
  const { code, stdout, stderr } = await run(emptyMachine(), 'devices', '-o', 'json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const answer = JSON.parse(stdout) as { devices: unknown[]; unread: { source: string; why: string }[] };
  expect(answer.devices).toEqual([]);
  expect(answer.unread).toContainEqual(expect.objectContaining({ source: '/sys' }));
});

test('plan without sysfs has nothing to do, and says that it saw nothing', async () => {
  const { code, stdout } = await run(emptyMachine(), 'plan');
  expect(code).toBe(0);
  expect(stdout).toContain('Nothing to do.');
  expect(stdout).toContain("is the host's /sys mounted?");
});

test('explain without sysfs finds no device', async () => {
  const { code } = await run(emptyMachine(), 'explain', '0000:01:00.0');
  expect(code).toBe(3);
});

test('devices on a machine without PCI, IOMMU and modules', async () => {
  const files = emptyMachine();
  files.put('/sys/bus/platform/devices', { directory: {} });
  files.put('/proc/sys/kernel/osrelease', { file: '6.12.0\n' });
  const { code, stdout } = await run(files, 'devices');
  expect(code).toBe(0);
  expect(stdout).toContain('No devices found.');
  expect(stdout).toContain('Kernel 6.12.0; no IOMMU groups');
});

test('an attribute that cannot be read is unknown, not absent', async () => {
  const files = emptyMachine();
  const device = '/sys/bus/pci/devices/0000:01:00.0';
  for (const [name, text] of Object.entries({ vendor: '0x10de', device: '0x2204', class: '0x030000', numa_node: '-1' }))
    files.put(`${device}/${name}`, { file: `${text}\n` });
  const masked = {
    ...files,
    readText: (path: string, maxBytes?: number): string => {
      if (path === `${device}/class`) throw new FileError('read', path, 'EACCES');
      return files.readText(path, maxBytes);
    },
  };
  const { stdout } = await run(masked, 'devices', '-o', 'json');
  const answer = JSON.parse(stdout) as { devices: unknown[]; unread: unknown[] };
  expect(answer.devices[0]).toMatchObject({ vendor: '10de', class: 'unknown', numaNode: null, modalias: null });
  expect(answer.unread).toContainEqual({ source: `${device}/class`, why: expect.stringContaining('EACCES') as string });
  const table = await run(masked, 'devices');
  expect(table.stdout).toMatch(/0000:01:00\.0 +10de:2204 +unknown/);
});

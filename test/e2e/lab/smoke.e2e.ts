// The lab's own proof, read from the kernel on every kernel of the lab: the machine is what the other tests assume.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { bootGuest } from './boot.ts';
import type { Guest } from './guest.ts';
import type { KernelName } from './kernels.ts';

const DEVICES = '/sys/bus/pci/devices';
const GENERIC = 'vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci';

/** Asks until `probe` gives something; throws after `seconds`. */
async function eventually<T>(what: string, probe: () => Promise<T | undefined>, seconds = 60): Promise<T> {
  for (const deadline = Date.now() + seconds * 1000; ; await sleep(50)) {
    const value = await probe();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`${what} did not happen in ${seconds} s`);
  }
}

/** Addresses in the IOMMU group of the lab's device `name`, sorted. */
async function groupOf(guest: Guest, name: string): Promise<readonly string[]> {
  const address = await guest.pciAddress(name);
  return (await guest.run(`ls ${DEVICES}/${address}/iommu_group/devices`)).split('\n').sort();
}

async function addresses(guest: Guest, ...names: readonly string[]): Promise<readonly string[]> {
  return (await Promise.all(names.map((name) => guest.pciAddress(name)))).sort();
}

/** The driver's name, or nothing when the device has none. */
async function driverOf(guest: Guest, address: string): Promise<string | undefined> {
  const [link] = await guest.files([{ op: 'readLink', path: `${DEVICES}/${address}/driver` }]);
  return link?.ok === true && typeof link.value === 'string' ? link.value.replace(/^.*\//, '') : undefined;
}

/** Unbinds, overrides and probes: what an agent does that trusts every write. */
async function override(guest: Guest, address: string, driver: string): Promise<void> {
  const results = await guest.files([
    { op: 'write', path: `${DEVICES}/${address}/driver_override`, text: driver },
    { op: 'write', path: `${DEVICES}/${address}/driver/unbind`, text: address },
    { op: 'write', path: '/sys/bus/pci/drivers_probe', text: address },
  ]);
  expect(results).toEqual([
    { ok: true, value: null },
    { ok: true, value: null },
    { ok: true, value: null },
  ]);
}

/** `test` where `condition` holds; elsewhere the case does not exist, so that a skipped test always means a fault. */
function onlyWith(condition: boolean): (name: string, body: () => Promise<void>) => void {
  return (name, body) => {
    if (condition) test(name, body);
  };
}

describe.each<KernelName>(['6.1', '6.12', '5.10'])('kernel %s', (kernel) => {
  const hasVariants = kernel !== '5.10';
  let guest: Guest;

  beforeAll(async () => {
    guest = await bootGuest({ kernel });
    process.stderr.write(`lab: ${guest.release} answered after ${guest.bootSeconds.toFixed(1)} s\n`);
  });
  afterAll(async () => guest?.shutdown());

  test('is the kernel that was asked for, with an IOMMU', async () => {
    expect(await guest.run('uname -r')).toBe(guest.release);
    expect(guest.release.startsWith(`${kernel}.`)).toBe(true);
    const without = await guest.run(`for d in ${DEVICES}/*; do [ -e $d/iommu_group ] || echo $d; done`);
    expect(without).toBe('');
    expect(Number(await guest.run('ls /sys/kernel/iommu_groups | wc -l'))).toBeGreaterThanOrEqual(20);
  });

  test('has functions alone in their group, two in one group, and a bridge with all behind it in one', async () => {
    for (const name of ['edu', 'nic', 'hot', 'igb', 'nvme', 'faulty', 'display', 'numa-edu', 'numa-nic']) {
      expect(await groupOf(guest, name)).toEqual(await addresses(guest, name));
    }
    expect(await groupOf(guest, 'pair1')).toEqual(await addresses(guest, 'pair0', 'pair1'));
    const behindBridge = await addresses(guest, 'bridge', 'legacy-nic', 'legacy-edu');
    expect(await groupOf(guest, 'legacy-edu')).toEqual(behindBridge);
  });

  test('has the ordinary drivers on its devices, and NUMA nodes', async () => {
    const expected = {
      edu: undefined,
      nic: 'e1000e',
      'legacy-nic': 'e1000',
      igb: 'igb',
      nvme: 'nvme',
      faulty: 'vmxnet3',
    };
    for (const [name, driver] of Object.entries(expected)) {
      expect([name, await driverOf(guest, await guest.pciAddress(name))]).toEqual([name, driver]);
    }
    expect(await guest.readText(`${DEVICES}/${await guest.pciAddress('numa-edu')}/numa_node`)).toBe('1\n');
  });

  test("modules.alias holds kbuild's vfio_pci aliases, all of them and no others", async () => {
    const found = await guest.run(`sed -n 's/^alias \\(vfio_pci:\\)/\\1/p' /lib/modules/$(uname -r)/modules.alias`);
    const expected = hasVariants ? [GENERIC, ...guest.variantAliases] : [];
    expect(guest.variantAliases).toHaveLength(hasVariants ? 7 : 0);
    expect(found.split('\n').filter(Boolean).sort()).toEqual(expected.sort());
  });

  test('igb makes 7 VFs, each in a group of its own', async () => {
    const physical = await guest.pciAddress('igb');
    await guest.writeText(`${DEVICES}/${physical}/sriov_drivers_autoprobe`, '0');
    await guest.writeText(`${DEVICES}/${physical}/sriov_numvfs`, '7');
    const virtual = (await guest.run(`cd ${DEVICES}/${physical}; for f in virtfn*; do readlink $f; done`)).split('\n');
    expect(virtual).toHaveLength(7);
    expect(await guest.readText(`${DEVICES}/${virtual[0]?.replace('../', '')}/device`)).toBe('0x10ca\n');
    const groups = await guest.run(`cd ${DEVICES}/${physical}; for f in virtfn*; do readlink $f/iommu_group; done`);
    expect(new Set(groups.split('\n')).size).toBe(7);
    await guest.writeText(`${DEVICES}/${physical}/sriov_numvfs`, '0');
  });

  test('nvme makes 4 VFs', async () => {
    const physical = await guest.pciAddress('nvme');
    await guest.writeText(`${DEVICES}/${physical}/sriov_drivers_autoprobe`, '0');
    await guest.writeText(`${DEVICES}/${physical}/sriov_numvfs`, '4');
    expect(await guest.run(`ls -d ${DEVICES}/${physical}/virtfn* | wc -l`)).toBe('4');
    await guest.writeText(`${DEVICES}/${physical}/sriov_numvfs`, '0');
  });

  onlyWith(hasVariants)("a variant's module registers a driver of another name, and only that name binds", async () => {
    const address = await guest.pciAddress('nic');
    await guest.run('modprobe e1000e_vfio_pci');
    expect(await guest.run('ls /sys/module/e1000e_vfio_pci/drivers')).toBe('pci:e1000e-vfio');

    await override(guest, address, 'e1000e_vfio_pci');
    expect(await driverOf(guest, address)).toBeUndefined();

    await guest.writeText(`${DEVICES}/${address}/driver_override`, 'e1000e-vfio');
    await guest.writeText('/sys/bus/pci/drivers_probe', address);
    expect(await driverOf(guest, address)).toBe('e1000e-vfio');
    const group = await guest.run(`basename $(readlink ${DEVICES}/${address}/iommu_group)`);
    expect(await guest.files([{ op: 'stat', path: `/dev/vfio/${group}` }])).toMatchObject([
      { ok: true, value: { kind: 'char', mode: 0o600 } },
    ]);

    await override(guest, address, '\n');
    expect(await driverOf(guest, address)).toBe('e1000e');
  });

  onlyWith(hasVariants)('the faulty variant refuses to probe with EIO', async () => {
    const address = await guest.pciAddress('faulty');
    await guest.run('modprobe faulty_vfio_pci');
    const results = await guest.files([
      { op: 'write', path: `${DEVICES}/${address}/driver_override`, text: 'faulty-vfio' },
      { op: 'write', path: `${DEVICES}/${address}/driver/unbind`, text: address },
      { op: 'write', path: '/sys/bus/pci/drivers/faulty-vfio/bind', text: address },
    ]);
    expect(results).toMatchObject([{ ok: true }, { ok: true }, { ok: false, code: 'EIO' }]);
    expect(await driverOf(guest, address)).toBeUndefined();
  });

  onlyWith(!hasVariants)('has no variants and no vfio_pci_core, yet vfio-pci binds', async () => {
    expect((await guest.exec('modprobe e1000e_vfio_pci')).code).not.toBe(0);
    const address = await guest.pciAddress('nic');
    await guest.run('modprobe vfio-pci');
    await override(guest, address, 'vfio-pci');
    expect(await driverOf(guest, address)).toBe('vfio-pci');
  });

  test('an unbind that the kernel holds back keeps neither the executor nor other batches', async () => {
    const address = await guest.pciAddress('edu');
    await guest.run('modprobe vfio-pci');
    await guest.writeText(`${DEVICES}/${address}/driver_override`, 'vfio-pci');
    await guest.writeText('/sys/bus/pci/drivers/vfio-pci/bind', address);
    const group = await guest.run(`basename $(readlink ${DEVICES}/${address}/iommu_group)`);
    const holder = await guest.spawn(`exec /lab/vfio-holder device ${group} ${address}`);
    await holder.waitFor('holding');

    const order: string[] = [];
    const unbind = guest
      .files([{ op: 'write', path: `${DEVICES}/${address}/driver/unbind`, text: address }])
      .finally(() => order.push('unbind returned'));
    await eventually('an unbind asleep in the kernel', async () => {
      // vfio_unregister_group_dev, on 5.10 vfio_del_group_dev.
      const found = await guest.exec('grep -qs "vfio_.*_group_dev" /proc/[0-9]*/task/[0-9]*/stack');
      return found.code === 0 ? true : undefined;
    });
    expect(await guest.readText('/proc/sys/kernel/osrelease')).toBe(`${guest.release}\n`);
    order.push('others answered');
    await holder.signal('SIGTERM');
    expect(await unbind).toEqual([{ ok: true, value: null }]);
    expect(order).toEqual(['others answered', 'unbind returned']);
    expect((await holder.ended).code).toBe(0);
  });

  test('one batch carries operations of every kind, each with the answer of the kernel', async () => {
    const results = await guest.files([
      { op: 'makeDirectory', path: '/run/batch/deep' },
      { op: 'write', path: '/run/batch/note', text: 'one\n', create: true },
      { op: 'readText', path: '/run/batch/note' },
      { op: 'readBase64', path: '/run/batch/note', offset: 1, length: 2 },
      { op: 'list', path: '/run/batch' },
      { op: 'realPath', path: '/sys/class/net/lo' },
      { op: 'stat', path: '/dev/null' },
      { op: 'exists', path: '/run/batch/absent' },
      { op: 'exec', command: 'echo out; echo err >&2; exit 3' },
      { op: 'remove', path: '/run/batch' },
      { op: 'write', path: '/run/batch/note', text: 'no O_CREAT' },
    ]);
    expect(results).toMatchObject([
      { ok: true, value: null },
      { ok: true, value: null },
      { ok: true, value: 'one\n' },
      { ok: true, value: Buffer.from('ne').toString('base64') },
      { ok: true, value: ['deep', 'note'] },
      { ok: true, value: '/sys/devices/virtual/net/lo' },
      { ok: true, value: { kind: 'char', node: '1:3' } },
      { ok: true, value: false },
      { ok: true, value: { code: 3, stdout: 'out\n', stderr: 'err\n', timedOut: false } },
      { ok: true, value: null },
      { ok: false, code: 'ENOENT' },
    ]);
  });

  test('a command past its time is killed and told so, with what it printed', async () => {
    const end = await guest.exec('echo begun; sleep 1000', { timeoutMs: 300 });
    expect(end).toMatchObject({ code: null, stdout: 'begun\n', timedOut: true });
  });

  test('a device on a root port can be unplugged', async () => {
    const address = await guest.pciAddress('hot');
    await guest.qmp('device_del', { id: 'hot' });
    await eventually('the unplug', async () => {
      const [there] = await guest.files([{ op: 'exists', path: `${DEVICES}/${address}` }]);
      return there?.ok === true && there.value === false ? true : undefined;
    });
    await expect(guest.pciAddress('hot')).rejects.toThrow('no PCI device with the id hot');
  });
});

test('a machine without an IOMMU has no groups', async () => {
  const guest = await bootGuest({ kernel: '6.1', topology: 'small', iommu: false });
  onTestFinished(() => guest.shutdown());
  expect(await guest.run('ls /sys/kernel/iommu_groups')).toBe('');
});

test('what a guest wrote to its disk is there after a power cut, and a named service is all it can reach', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vfio-smoke-'));
  const server = createServer((_, response) => response.end('served')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  const disks = [{ name: 'state', image: join(directory, 'state.raw'), mount: '/var/lib/lab' }];

  const first = await bootGuest({
    kernel: '6.12',
    topology: 'small',
    disks,
    forwards: [{ guestPort: 80, hostPort: port }],
  });
  onTestFinished(() => first.kill());
  await first.run('echo kept > /var/lib/lab/note && sync');
  expect(await first.run('/lab/busybox wget -q -O - http://10.0.2.100/')).toBe('served');
  expect((await first.exec(`/lab/busybox wget -T 5 -q -O - http://10.0.2.2:${port}/`)).code).not.toBe(0);
  await first.kill();

  const second = await bootGuest({ kernel: '6.12', topology: 'small', disks });
  onTestFinished(() => second.shutdown());
  expect(await second.readText('/var/lib/lab/note')).toBe('kept\n');
});

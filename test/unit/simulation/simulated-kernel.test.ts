// What the conformance suite cannot show on a lab kernel: damage, faults, a full worker pool, reboots.
import { describe, expect, it } from 'vitest';
import { WorkerUnavailable } from '../../../src/host/ports.ts';
import { demoAddresses, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { devicePath as device } from '../../support/conformance/device-actions.ts';
import { KernelBench as Bench } from '../../support/conformance/kernel-bench.ts';

const at = demoAddresses;

describe('damage', () => {
  it('is noted when what the node lives on is unbound, and not when its device is pulled', async () => {
    const bench = new Bench();
    await bench.writes(['/sys/bus/pci/drivers/nvme/unbind', at.rootDisk]);
    await bench.writes(['/sys/bus/pci/drivers/e1000e/unbind', at.uplink]);
    await bench.writes(['/sys/bus/pci/drivers/nvme/unbind', at.spareDisk]);
    expect(bench.kernel.control.damage.map(({ kind, message }) => `${kind}: ${message}`)).toEqual([
      `MountLost: ${at.rootDisk} was unbound under /`,
      `MountLost: ${at.rootDisk} was unbound under /boot/efi`,
      `RouteLost: ${at.uplink} was unbound under the default route`,
    ]);
    const pulled = new Bench();
    pulled.kernel.control.unplug(at.uplink);
    expect(pulled.kernel.control.damage).toEqual([]);
    expect(pulled.kernel.files.exists('/sys/class/net/eno1')).toBe(false);
  });

  it('is a kernel BUG on 5.10 when a host driver is bound beside an open group', async () => {
    const bench = new Bench({ ...demoNode, release: '5.10.0-32-amd64' });
    await bench.bind(at.gpu);
    await bench.writes(['/sys/bus/pci/drivers/snd_hda_intel/unbind', at.gpuAudio]);
    bench.kernel.control.openDevice(at.gpu);
    expect(await bench.writes(['/sys/bus/pci/drivers/snd_hda_intel/bind', at.gpuAudio])).toEqual(['Stuck']);
    expect(bench.kernel.control.damage).toMatchObject([{ kind: 'KernelBug' }]);
  });
});

describe('probes that go wrong', () => {
  it('fail with the errno given, for the driver given', async () => {
    const bench = new Bench();
    bench.kernel.control.failProbe(at.spareNic, { errno: 'ENOMEM' }, 'vfio-pci');
    expect(await bench.bind(at.spareNic)).toEqual(['Written', 'Written', 'ENOMEM']);
    await bench.writes([`${device(at.spareNic)}/driver_override`, '\n'], ['/sys/bus/pci/drivers_probe', at.spareNic]);
    expect(bench.driver(at.spareNic)).toBe('e1000e');
  });

  it('lie: the write succeeds and nothing is bound', async () => {
    const bench = new Bench();
    bench.kernel.control.failProbe(at.spareNic, 'lie');
    expect(await bench.bind(at.spareNic)).toEqual(['Written', 'Written', 'Written']);
    expect(bench.driver(at.spareNic)).toBe(null);
  });

  it('hang, and go on when they are let', async () => {
    const bench = new Bench();
    bench.kernel.control.failProbe(at.spareNic, 'hang');
    await bench.modprobe('vfio_pci');
    await bench.writes(
      [`${device(at.spareNic)}/driver_override`, 'vfio-pci'],
      [`${device(at.spareNic)}/driver/unbind`, at.spareNic],
    );
    const outcome = await bench.write('/sys/bus/pci/drivers/vfio-pci/bind', at.spareNic);
    if (outcome.outcome !== 'Stuck') throw new Error(`the bind was ${outcome.outcome}`);
    expect(bench.kernel.files.readText(`/proc/${outcome.worker.pid}/stat`)).toContain(' D ');
    expect(bench.kernel.worker.abandoned).toBe(1);
    bench.kernel.control.failProbe(at.spareNic, null);
    await bench.finish(outcome.returned);
    expect(bench.kernel.worker.abandoned).toBe(0);
    expect(bench.driver(at.spareNic)).toBe('vfio-pci');
    expect(bench.kernel.files.exists(`/proc/${outcome.worker.pid}`)).toBe(false);
  });
});

describe('the worker pool', () => {
  it('begins no call once eight have not returned', async () => {
    const bench = new Bench();
    await bench.bind(at.spareNic);
    bench.kernel.control.openDevice(at.spareNic);
    for (let stuck = 1; stuck <= 8; stuck += 1) {
      expect(await bench.writes(['/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic])).toEqual(['Stuck']);
      expect(bench.kernel.worker.abandoned).toBe(stuck);
    }
    await expect(bench.kernel.worker.lease()).rejects.toBeInstanceOf(WorkerUnavailable);
  });

  it('outlives the agent: a killed agent leaves the worker that sleeps, and it ends with its call', async () => {
    const bench = new Bench();
    await bench.bind(at.spareNic);
    const holder = bench.kernel.control.openDevice(at.spareNic);
    const agent = bench.kernel.startAgent();
    const lease = await agent.worker.lease();
    void lease.write('/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic, 1_000);
    await bench.clock.advance(10);
    agent.kill();
    expect(bench.kernel.files.readText(`/proc/${lease.worker.pid}/stat`)).toContain(' D ');
    if ('close' in holder) holder.close();
    await bench.clock.advance(10);
    expect(bench.driver(at.spareNic)).toBe(null);
  });

  it('refuses a read that would sleep when it does not come from a worker', async () => {
    const bench = new Bench({ ...demoNode, release: '6.1.0-56-amd64' });
    await bench.bind(at.spareNic);
    bench.kernel.control.openDevice(at.spareNic);
    await bench.writes(['/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic]);
    expect(() => bench.kernel.files.readText(`${device(at.spareNic)}/driver_override`)).toThrow(
      'the process would hang',
    );
    expect(bench.kernel.files.readText(`${device(at.spareNic)}/vendor`)).toBe('0x8086\n');
    const read = await bench.finish(bench.kernel.worker.read([`${device(at.spareNic)}/uevent`], 500));
    expect(read.outcome).toBe('Stuck');
  });
});

describe('virtual functions', () => {
  it('are fewer than asked where the hardware makes fewer', async () => {
    const devices = demoNode.devices.map((spec) =>
      'sriov' in spec && spec.sriov !== undefined ? { ...spec, sriov: { ...spec.sriov, makes: 2 } } : spec,
    );
    const bench = new Bench({ ...demoNode, devices });
    expect(await bench.writes([`${device(at.connectX)}/sriov_numvfs`, '4'])).toEqual(['Written']);
    expect(bench.kernel.control.snapshot().virtualFunctions[at.connectX]).toBe(2);
    expect(bench.kernel.control.log.at(-1)).toContain('4 VFs requested; only 2 enabled');
  });

  it('match the variant driver and go to it', async () => {
    const bench = new Bench();
    await bench.writes(
      [`${device(at.connectX)}/sriov_drivers_autoprobe`, '0'],
      [`${device(at.connectX)}/sriov_numvfs`, '4'],
    );
    const [first] = at.connectXVirtualFunctions;
    expect(bench.kernel.files.readText(`${device(first)}/modalias`)).toMatch(/^pci:v000015B3d0000101E/);
    await bench.modprobe('mlx5_vfio_pci');
    expect(await bench.bind(first, 'mlx5_vfio_pci')).toEqual(['Written', 'Written']);
    expect(bench.driver(first)).toBe('mlx5_vfio_pci');
  });
});

describe('modprobe', () => {
  it('says what stopped it', async () => {
    const bench = new Bench({
      ...demoNode,
      modules: [...demoNode.modules, { name: 'unsigned_vfio', loadErrno: 'ENOKEY' }],
    });
    expect(await bench.modprobe('unsigned_vfio')).toContain("1 modprobe: ERROR: could not insert 'unsigned_vfio'");
    bench.kernel.control.hangModule('vfio_pci', true);
    expect(await bench.modprobe('vfio_pci')).toBe('killed timed out');
    bench.kernel.control.hangModule('vfio_pci', false);
    expect(bench.kernel.files.exists('/sys/module/vfio_pci')).toBe(true);
    bench.kernel.control.disableModules();
    expect(await bench.modprobe('mlx5_vfio_pci')).toContain('Operation not permitted');
  });

  it('resolves every match, unranked, and knows no other program', async () => {
    const bench = new Bench();
    const alias = 'vfio_pci:v000015B3d0000101Esv00000000sd00000000bc02sc00i00';
    const found = await bench.finish(bench.kernel.processes.run('modprobe', ['-R', alias], { deadline: 1_000 }));
    expect(found.stdout).toBe('vfio_pci\nmlx5_vfio_pci\n');
    const other = await bench.finish(bench.kernel.processes.run('udevadm', ['monitor'], { deadline: 1_000 }));
    expect(other.code).toBe(127);
  });
});

describe('reboot and power cut', () => {
  it('forget what was set at run time, keep the disk as far as it was fsynced', async () => {
    const bench = new Bench();
    const before = bench.kernel.control.snapshot();
    const bootId = bench.kernel.files.readText('/proc/sys/kernel/random/boot_id');
    await bench.bind(at.spareNic);
    await bench.writes([`${device(at.connectX)}/sriov_numvfs`, '4']);
    bench.kernel.control.openDevice(at.spareNic);
    await bench.writes(['/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic]);
    await bench.kernel.files.makeDirectory('/var/lib/vfio-operator', 0o700);
    await bench.kernel.files.syncDirectory('/var/lib');
    await bench.kernel.files.syncDirectory('/var');
    const log = await bench.kernel.files.openLog('/var/lib/vfio-operator/journal', { truncate: false });
    await log.append('one\n');
    await log.sync();
    await bench.kernel.files.syncDirectory('/var/lib/vfio-operator');
    await log.append('two\n');
    bench.kernel.control.powerCut();
    expect(bench.kernel.control.snapshot()).toEqual(before);
    expect(bench.kernel.files.readText('/proc/sys/kernel/random/boot_id')).not.toBe(bootId);
    expect(bench.kernel.files.readText('/var/lib/vfio-operator/journal')).toBe('one\n');
    expect([bench.kernel.control.sleeping, bench.kernel.worker.abandoned]).toEqual([0, 0]);
    const next = bench.kernel.startAgent();
    const outcome = await bench.finish((await next.worker.lease()).write('/sys/bus/pci/drivers_probe', at.gpu, 1_000));
    expect(outcome.outcome).toBe('Written');
  });
});

describe('holders', () => {
  it('are seen in /proc with what they have open, by name and by node number', async () => {
    const bench = new Bench();
    await bench.bind(at.spareNic);
    const holder = bench.kernel.control.openDevice(at.spareNic, { command: 'qemu-system-x86_64' });
    if (!('close' in holder)) throw new Error(holder.errno);
    const fds = `/proc/${holder.pid}/fd`;
    const { files } = bench.kernel;
    const group = bench.kernel.control.snapshot().groups[at.spareNic];
    expect(files.list(fds).map((fd) => files.readLink(`${fds}/${fd}`))).toEqual([
      '/dev/vfio/vfio',
      `/dev/vfio/${group}`,
      'anon_inode:[vfio-device]',
    ]);
    expect(files.stat(`${fds}/4`).node).toBe(files.stat(`/dev/vfio/${group}`).node);
    expect(bench.kernel.control.openDevice(at.spareNic)).toEqual({ errno: 'EBUSY' });
    bench.kernel.control.kill(holder.pid);
    expect(files.exists(`/proc/${holder.pid}`)).toBe(false);
    expect('close' in bench.kernel.control.openDevice(at.spareNic)).toBe(true);
  });

  it('by cdev own the group like those by group, and an unbound cdev still holds the device', async () => {
    const bench = new Bench({ ...demoNode, quirks: { cdev: true } });
    await bench.bind(at.spareNic);
    const [name] = bench.kernel.files.list(`${device(at.spareNic)}/vfio-dev`);
    expect(bench.kernel.files.stat(`/dev/vfio/devices/${name}`).node).toBe(
      bench.kernel.files.readText(`${device(at.spareNic)}/vfio-dev/${name}/dev`).trim(),
    );
    const holder = bench.kernel.control.openDevice(at.spareNic, { via: 'unboundCdev' });
    expect(await bench.writes(['/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic])).toEqual(['Stuck']);
    if ('close' in holder) holder.close();
    expect(bench.driver(at.spareNic)).toBe(null);
  });
});

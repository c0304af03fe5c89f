// The machine around the kernel: other buses, hotplug, our processes, nodes by chance.
import { describe, expect, it } from 'vitest';
import { createRandomNode } from '../../../src/simulation/nodes/random-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { demoAddresses, demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { devicePath as device } from '../../support/conformance/device-actions.ts';
import { KernelBench as Bench } from '../../support/conformance/kernel-bench.ts';

const at = demoAddresses;

describe('other buses and machines without an IOMMU', () => {
  const vfioPlatform = {
    name: 'vfio_platform',
    depends: ['vfio'],
    drivers: [{ bus: 'platform', name: 'vfio-platform', vfio: true }],
  } as const;

  it('binds platform devices by the same rules', async () => {
    const address = 'fd500000.dma';
    const bench = new Bench({
      ...demoNode,
      devices: [...demoNode.devices, { bus: 'platform', address, modalias: 'of:NdmaT(null)Carm,pl330', group: 'dma' }],
      modules: [...demoNode.modules, vfioPlatform],
    });
    await bench.modprobe('vfio_platform');
    const root = '/sys/bus/platform';
    expect(
      await bench.writes(
        [`${root}/devices/${address}/driver_override`, 'vfio-platform'],
        [`${root}/drivers/vfio-platform/bind`, address],
        [`${root}/drivers/vfio-platform/bind`, at.gpu],
      ),
    ).toEqual(['Written', 'Written', 'ENODEV']);
    expect(bench.kernel.files.readLink(`${root}/devices/${address}/driver`)).toBe(
      '../../../bus/platform/drivers/vfio-platform',
    );
    expect(bench.kernel.files.list('/sys/module/vfio_platform/drivers')).toEqual(['platform:vfio-platform']);
  });

  it('refuses vfio-pci without a group, and makes a fake group in no-IOMMU mode', async () => {
    const spec = { ...demoNode, iommu: false };
    const bench = new Bench(spec);
    expect(await bench.bind(at.spareNic)).toEqual(['Written', 'Written', 'EINVAL']);
    const modules = demoNode.modules.map((module) =>
      module.name === 'vfio' ? { ...module, parameters: { enable_unsafe_noiommu_mode: 'Y' } } : module,
    );
    const unsafe = new Bench({ ...spec, modules });
    expect(await unsafe.bind(at.spareNic)).toEqual(['Written', 'Written', 'Written']);
    expect(unsafe.kernel.files.list('/dev/vfio')).toEqual(['vfio', 'noiommu-0']);
    expect(unsafe.kernel.files.readText('/sys/kernel/iommu_groups/0/name')).toBe('vfio-noiommu\n');
    await unsafe.writes(['/sys/bus/pci/drivers/vfio-pci/unbind', at.spareNic]);
    expect(unsafe.kernel.files.list('/dev/vfio')).toEqual(['vfio']);
  });
});

describe('hotplug', () => {
  it('brings another device to the same address, in another group, with the number that was freed', async () => {
    const bench = new Bench();
    const { control, files } = bench.kernel;
    const number = control.snapshot().groups[at.spareNic];
    await bench.bind(at.spareNic);
    const events = Number(files.readText('/sys/kernel/uevent_seqnum'));
    const seen: (string | null)[] = [];
    files.watch('/dev/vfio', (name) => seen.push(name));
    control.unplug(at.spareNic);
    await bench.clock.settle();
    await bench.clock.advance(0);
    expect(seen).toEqual([String(number)]);
    control.plug({ address: at.spareNic, vendor: '144d', device: 'a808', class: '010802', parent: '0000:40:03.0' });
    expect(control.snapshot()).toMatchObject({
      drivers: { [at.spareNic]: 'nvme' },
      overrides: { [at.spareNic]: null },
      groups: { [at.spareNic]: number },
    });
    expect(Number(files.readText('/sys/kernel/uevent_seqnum'))).toBeGreaterThan(events);
  });

  it('leaves a device that no longer answers readable, with nothing but ones', () => {
    const bench = new Bench();
    bench.kernel.control.goDead(at.spareNic);
    expect([...bench.kernel.files.readBytes(`${device(at.spareNic)}/config`, 0, 2)]).toEqual([0xff, 0xff]);
    expect(bench.kernel.files.readText(`${device(at.spareNic)}/vendor`)).toBe('0x8086\n');
  });
});

describe('processes of ours', () => {
  it('talk over sockets while they live, and are refused when the other is gone', async () => {
    const bench = new Bench();
    const [server, client] = [bench.kernel.startAgent(), bench.kernel.startAgent()];
    const path = '/run/vfio-operator.sock';
    const codeOf = (line: string) =>
      bench.finish(client.sockets.ask(path, line, 1_000)).catch((error: unknown) => (error as { code: string }).code);
    expect(await codeOf('anybody?')).toBe('ENOENT');
    await bench.finish(server.sockets.listen(path, (line) => Promise.resolve(`heard ${line}`)));
    expect(await codeOf('hello')).toBe('heard hello');
    server.kill();
    expect(await codeOf('hello')).toBe('ECONNREFUSED');
    expect(bench.kernel.files.stat(path).kind).toBe('socket');
  });

  it('are gone after a reboot, and the number of one may then be another process', async () => {
    const bench = new Bench();
    const process = bench.kernel.startAgent();
    await bench.finish(process.sockets.listen('/var/lib/agent.sock', () => Promise.resolve('here')));
    await bench.bind(at.spareNic);
    const holder = bench.kernel.control.openDevice(at.spareNic);
    bench.kernel.control.reboot();
    expect(process.alive).toBe(false);
    const next = bench.kernel.startAgent();
    const asked = next.sockets.ask('/var/lib/agent.sock', 'hello', 1_000).catch((error: unknown) => String(error));
    expect(await bench.finish(asked)).toContain('ECONNREFUSED');
    const before = bench.kernel.control.processes.length;
    if ('close' in holder) holder.close();
    expect(bench.kernel.control.processes).toHaveLength(before);
  });

  it('reach nothing once they are killed: no answer, no timer, no effect', async () => {
    const bench = new Bench();
    const process = bench.kernel.startAgent();
    const heard: string[] = [];
    const log = await process.files.openLog('/journal', { truncate: false });
    process.clock.after(10, () => heard.push('timer'));
    void log.append('begun').then(() => heard.push('appended'));
    process.kill();
    void log.append('after').then(() => heard.push('appended after'));
    await bench.clock.advance(100);
    expect(heard).toEqual([]);
    expect(bench.kernel.files.readText('/journal')).toBe('begun');
    expect(() => process.files.readText('/journal')).toThrow('the process was killed');
  });
});

describe('nodes by chance', () => {
  it('have as many devices and groups as asked, the same for the same seed, and boot quickly when large', () => {
    const build = (seed: number, devices: number, groups: number) =>
      createRandomNode(createSeededRandom(seed), { devices, groups });
    expect(build(3, 12, 5)).toEqual(build(3, 12, 5));
    for (let seed = 0; seed < 20; seed += 1) {
      const { spec, addresses, critical } = build(seed, 12, 5);
      expect(new Set(addresses).size).toBe(12);
      const { control } = new Bench(spec).kernel;
      const groups = control.snapshot().groups;
      expect(new Set(addresses.map((address) => groups[address])).size).toBe(5);
      expect(critical.every((address) => control.snapshot().drivers[address] !== null)).toBe(true);
      expect(control.damage).toEqual([]);
    }
    const large = build(1, 4_096, 1_024);
    const { drivers } = new Bench(large.spec).kernel.control.snapshot();
    expect(large.addresses.filter((address) => address in drivers)).toHaveLength(4_096);
  });
});

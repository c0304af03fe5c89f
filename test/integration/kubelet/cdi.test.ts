// Resources with cdi, from the pool to the container: kubelet's stand-in asks, and a runtime resolves the names it passes on.
import { beforeEach, describe, expect, it } from 'vitest';
import type { ResourcePool } from '../../../src/domain/resource-pool.ts';
import { cdiFileName } from '../../../src/kubelet/cdi-files.ts';
import { injectCdi } from '../../support/cdi-runtime.ts';
import { aFunction, aPool, anAdvertised } from '../../support/pools.ts';
import { aPod, createSimulatedKubelet } from '../../support/simulated-kubelet.ts';

const gpus = 'vfio-operator.dev/gpu';
const directory = '/var/run/cdi';
const path = `${directory}/${cdiFileName(gpus)}`;
const first = anAdvertised('0000:3b:00.0', {
  iommuGroup: 12,
  functions: [aFunction('0000:3b:00.0', { vfioDevice: 'vfio0' })],
});
const second = anAdvertised('0000:65:00.0', { iommuGroup: 20 });
const named = (...devices: ResourcePool['devices']) => aPool(devices, { cdi: true });

let node: Awaited<ReturnType<typeof createSimulatedKubelet>>;
beforeEach(async () => {
  node = await createSimulatedKubelet();
});

const run = async (name: string, count = 1) => {
  const started = await node.when(node.kubelet.run(aPod(name, { [gpus]: count })));
  const config = started.get('main');
  if (config === undefined) throw new Error('the container was not started');
  return config;
};
const restart = (name: string) => node.when(node.kubelet.startContainer('default', name, 'main'));

describe('a container with devices by CDI', () => {
  it('gets names instead of nodes, and from the runtime the nodes it would have got', async () => {
    await node.offer(aPool([first, second]));
    const plain = await run('plain', 2);
    expect(plain.cdiDevices).toEqual([]);

    node = await createSimulatedKubelet();
    await node.offer(named(first, second));
    const config = await run('vm', 2);
    expect(config.devices).toEqual([]);
    expect(config.cdiDevices).toEqual([`${gpus}=0000:3b:00.0`, `${gpus}=0000:65:00.0`]);
    expect(config.envs).toEqual(plain.envs);
    expect(
      injectCdi(node.files, directory, config.cdiDevices).map((given) => ({
        containerPath: given.path,
        hostPath: given.path,
        permissions: given.permissions,
      })),
    ).toEqual(plain.devices);
  });

  it('is answered when the document is on disk, not before', async () => {
    await node.offer(named(first));
    node.files.drop(path);
    const answer = node.agent.allocator.handlers(gpus).allocate([first.id]);
    expect(node.files.exists(path)).toBe(false);
    await answer;
    expect(node.files.readText(path)).toContain('"0000:3b:00.0"');
  });

  it('finds its names again when it restarts, also after a boot emptied the directory or the policy dropped cdi', async () => {
    await node.offer(named(first));
    const { cdiDevices } = await run('vm');
    node.files.drop(path);
    await restart('vm');
    expect(injectCdi(node.files, directory, cdiDevices)).toHaveLength(3);
    await node.offer(aPool([first]));
    expect((await restart('vm')).cdiDevices).toEqual(cdiDevices);
    expect(injectCdi(node.files, directory, cdiDevices)).toHaveLength(3);
  });

  it('has its document removed once the policy has no cdi and no pod has a device', async () => {
    await node.offer(named(first));
    await run('vm');
    await node.look();
    await node.offer(aPool([first]));
    expect(node.files.exists(path)).toBe(true);
    await node.when(node.kubelet.deletePod('default', 'vm'));
    await node.look();
    await node.offer(aPool([first]));
    expect(node.files.exists(path)).toBe(false);
  });
});

describe('Allocate with cdi', () => {
  it('fails with a sentence that names the directory, hands nothing out, and works once it is there', async () => {
    await node.offer(named(first));
    node.files.drop(directory);
    await expect(run('vm')).rejects.toThrow(
      `0000:3b:00.0: the CDI document of ${gpus} cannot be written: open ${path}.new: ENOENT; ${directory} (--cdi-dir) must be`,
    );
    expect(node.agent.allocator.recentHolders()).toEqual([]);
    node.files.put(directory, { directory: {} });
    await run('next');
  });

  it('works on a directory that cannot be written while the document in it is right', async () => {
    await node.offer(named(first));
    node.files.setFault((operation, at) => (operation === 'write' && at.startsWith(directory) ? 'EROFS' : null));
    await run('vm');
  });

  it('does not concern resources without cdi', async () => {
    node.files.drop(directory);
    await node.offer(aPool([first]));
    await run('vm');
  });

  it('refuses a device that cannot have a name', async () => {
    const odd = anAdvertised('gpio@0', { iommuGroup: 12 });
    await node.offer(named(odd));
    await expect(run('vm')).rejects.toThrow("in a device's name, so gpio@0 cannot have one");
    expect(node.agent.allocator.recentHolders()).toEqual([]);
  });
});

// What fails for a while and then works again: disk, sources of proof, policy directory, probes, modprobe, kernel writes, kubelet's
// services; and the wall clock, which jumps.
import { GrpcError } from '../../src/kubelet/ports.ts';
import { clusterPatience } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import type { SimulatedEvent } from './event.ts';
import { policyDirectory, stateDirectory } from './places.ts';
import type { World } from './world.ts';

const proofSources = [
  /^\/proc\/1\/mountinfo$/,
  /^\/proc\/1\/net\/route$/,
  /^\/proc\/1\/net\/ipv6_route$/,
  /^\/proc\/1\/net\/fib_trie$/,
  /^\/proc\/swaps$/,
  /^\/run\/udev\/data/,
  /^\/proc\/\d+\/fd$/,
  /^\/proc\/fb$/,
];
const writing = new Set(['write', 'fsync', 'rename', 'mkdir', 'link', 'ftruncate', 'unlink']);
const vfioModuleNames = ['vfio_pci', 'mlx5_vfio_pci', 'nvgrace_gpu_vfio_pci', 'e1000e_vfio_pci'];

/** The faults of one world. */
export class Faults {
  private readonly world: World;
  /** Disturbances of the API server that last. */
  private disturbing = 0;

  constructor(world: World) {
    this.world = world;
  }

  /** Everything works again. */
  end(): void {
    const { world } = this;
    world.fileFaults.clear();
    this.disturbing = 0;
    world.cluster?.heal();
    world.watch.policiesShown(world.cluster === null ? 0 : clusterPatience);
    world.failingWrites = null;
    world.failingModprobe = false;
    world.lyingModprobe = null;
    world.kubelet.faults.late = 0;
    world.kubelet.faults.podResources = null;
    world.kubelet.faults.register = null;
    for (const address of world.machine.addresses) {
      world.kernel.control.failProbe(address, null);
      world.kernel.control.failProbe(address, null, 'vfio-pci');
      world.kernel.control.failVirtualFunctions(address, null);
    }
    this.endHangs();
  }

  /** No module hangs in its loading. */
  endHangs(): void {
    for (const module of vfioModuleNames) this.world.kernel.control.hangModule(module, false);
  }

  /** Begins it; what begins, or null where there is nothing that could fail. */
  perform(event: SimulatedEvent): string | null {
    const { world } = this;
    const { watch, kubelet } = world;
    const { control } = world.kernel;
    const some = <Item>(items: readonly Item[]): Item | null => items[Math.floor(event.which * items.length)] ?? null;
    const fault = (name: string, seconds: number, end: () => void): void => this.endsAfter(event, name, seconds, end);
    switch (event.kind) {
      case 'disturbApi':
        if (world.cluster === null) return null;
        return this.disturbCluster(world.cluster, event, (cluster) => cluster.disturb(event), fault);
      case 'hidePolicies':
        if (world.cluster !== null)
          return this.disturbCluster(world.cluster, event, (cluster) => cluster.hide(event), fault);
        watch.policiesSince = Number.POSITIVE_INFINITY;
        world.fileFaults.set('policies', (operation, path) =>
          path === policyDirectory && operation === 'scandir' ? (event.what < 0.5 ? 'EACCES' : 'ENOENT') : null,
        );
        fault('the policies are hidden', 60, () => {
          world.fileFaults.delete('policies');
          watch.policiesShown(0);
        });
        return '';
      case 'fillDisk':
      case 'readOnlyDisk': {
        const errno = event.kind === 'fillDisk' ? 'ENOSPC' : 'EROFS';
        world.fileFaults.set('disk', (operation, path) => {
          if (!path.startsWith(stateDirectory) || !writing.has(operation)) return null;
          world.tally.add(`${errno} answers`);
          return operation === 'write' && errno === 'ENOSPC' ? { errno, written: Math.floor(event.what * 200) } : errno;
        });
        fault('the disk fault', 40, () => world.fileFaults.delete('disk'));
        return '';
      }
      case 'failProbe':
      case 'lieProbe':
      case 'hangProbe': {
        const address = some(world.machine.addresses);
        if (address === null) return null;
        const kind = event.kind === 'failProbe' ? { errno: 'EIO' } : event.kind === 'lieProbe' ? 'lie' : 'hang';
        const driver = event.what < 0.6 ? 'vfio-pci' : '*';
        control.failProbe(address, kind, driver);
        if (driver === '*') watch.bare.add(address);
        watch.disturbances += 1;
        // Half of what hangs does so past the deadline of a write.
        const seconds = event.kind === 'hangProbe' && event.how > 0.4 ? 200 : 40;
        fault(`the fault of ${address}`, seconds, () => control.failProbe(address, null, driver));
        return `${address} on ${driver}`;
      }
      case 'failWrites':
        world.failingWrites = { left: 1 + Math.floor(event.what * 3), errno: event.how < 0.5 ? 'EIO' : 'ENODEV' };
        watch.disturbances += 1;
        return '';
      case 'failModprobe':
        world.failingModprobe = true;
        fault('modprobe fails', 20, () => (world.failingModprobe = false));
        return '';
      case 'lieModprobe':
        world.lyingModprobe = event.what < 0.5 ? 'nothing' : 'e1000e_vfio_pci';
        fault('modprobe lies', 20, () => (world.lyingModprobe = null));
        return world.lyingModprobe;
      case 'failVirtualFunctions': {
        const address = some(capable(world));
        if (address === null) return null;
        const errno = event.what < 0.5 ? 'EIO' : null;
        control.failVirtualFunctions(address, { made: Math.floor(event.how * 3), errno });
        watch.disturbances += 1;
        fault(`making VFs of ${address} fails`, 40, () => control.failVirtualFunctions(address, null));
        return `${address} ${errno ?? 'in silence'}`;
      }
      case 'slowKubelet':
        kubelet.faults.late = Math.floor(event.what * 20_000);
        fault('kubelet is slow', 40, () => (kubelet.faults.late = 0));
        return `${kubelet.faults.late} ms`;
      case 'hangModprobe': {
        const module = some(vfioModuleNames);
        if (module === null) return null;
        control.hangModule(module, true);
        fault(`loading ${module} hangs`, 150, () => control.hangModule(module, false));
        return module;
      }
      case 'hideProof': {
        const source = some(proofSources);
        if (source === null) return null;
        return this.hide(source, event);
      }
      case 'failPodResources':
        kubelet.faults.podResources = new GrpcError('Internal', 'the pod cache is not ready');
        fault('PodResources fails', 30, () => (kubelet.faults.podResources = null));
        return '';
      case 'failRegister':
        kubelet.faults.register = new GrpcError('Unavailable', 'not yet');
        fault('Register fails', 20, () => (kubelet.faults.register = null));
        return '';
      case 'jumpClock': {
        const by = Math.round((event.what - 0.5) * 2 * 86_400_000);
        world.clock.jump(by);
        return `by ${by} ms`;
      }
      default:
        return null;
    }
  }

  /** A source of proof cannot be read for a while. */
  hide(source: RegExp, event: SimulatedEvent): string {
    const { world } = this;
    const errno = event.what < 0.5 ? 'EACCES' : 'ENOENT';
    const hidden = (_operation: string, path: string): string | null => {
      if (!source.test(path)) return null;
      world.tally.add('proofs not to be read');
      return errno;
    };
    const name = `proof ${source.source}`;
    world.fileFaults.set(name, hidden);
    world.watch.disturbances += 1;
    this.endsAfter(event, `${source.source} is hidden`, 30, () => {
      if (world.fileFaults.get(name) === hidden) world.fileFaults.delete(name);
    });
    return `${source.source} ${errno}`;
  }

  /** Whether that source cannot be read now. */
  hides(source: RegExp): boolean {
    return this.world.fileFaults.has(`proof ${source.source}`);
  }

  /** Ends a fault after one second at the least. */
  private endsAfter(event: SimulatedEvent, name: string, seconds: number, end: () => void): void {
    const { world } = this;
    world.clock.after(1_000 + event.how * seconds * 1_000, () => {
      end();
      world.say(`${name} is over`);
    });
  }

  private disturbCluster(
    cluster: Cluster,
    event: SimulatedEvent,
    disturb: (cluster: Cluster) => string,
    fault: (name: string, seconds: number, end: () => void) => void,
  ): string {
    const { watch } = this.world;
    this.disturbing += 1;
    watch.policiesSince = Number.POSITIVE_INFINITY;
    const what = disturb(cluster);
    fault('the trouble with the API server', 60, () => {
      this.disturbing = Math.max(0, this.disturbing - 1);
      if (this.disturbing > 0) return;
      cluster.heal();
      watch.policiesShown(clusterPatience);
    });
    return what;
  }
}

/** Devices that can make VFs. */
function capable(world: World): readonly string[] {
  return Object.keys(world.kernel.control.snapshot().virtualFunctions);
}

// Kubelet's side for real: allocations on disk, device plugins for the pools, PodResources for what pods hold.
import type { Ledger } from '../domain/ledger.ts';
import type { HostPaths } from '../host/host-paths.ts';
import { Allocator } from '../kubelet/allocator.ts';
import { AllocationStore } from '../kubelet/allocation-store.ts';
import { createCdiFiles } from '../kubelet/cdi-files.ts';
import { DevicePlugins, type PluginAllocator } from '../kubelet/device-plugins.ts';
import { registerByDirectory } from '../kubelet/plugin-registration.ts';
import { readPodResources, toHolders, type PodResourcesReading } from '../kubelet/pod-resources.ts';
import type { Grpc } from '../kubelet/ports.ts';
import { registerByCall } from '../kubelet/registration.ts';
import type { AgentMetrics } from '../runtime/agent-metrics.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Clock, Files, Random } from '../runtime/ports.ts';
import type { KubeletSide, KubeletUse } from './kubelet-side.ts';
import { createVerifyDevice } from './verify-device.ts';
import { watchGroups } from './watch-groups.ts';

/** What kubelet's side works with. */
export interface OpenKubeletParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly grpc: Grpc;
  readonly paths: HostPaths;
  readonly logger: Logger;
  readonly metrics: AgentMetrics;
  readonly state: string;
  readonly bootId: string;
  readonly devicePluginsDirectory: string;
  readonly kubeletRoot: string;
  /** The pod that the agent runs in, which kubelet lists as soon as it knows its pods; absent or null: in none, or it is not known. */
  readonly ownPod?: string | null;
  /** Where the container runtime reads CDI documents. */
  readonly cdiDirectory: string;
  readonly registration: 'legacy' | 'directory';
  readonly ledger: () => Ledger;
  /** Something was allocated, or kubelet took a resource up or lost it. */
  readonly onChange: (reason: string) => void;
  /** Who has a group or the cdev of a member open, from the last look at the host; null: nobody was seen. */
  readonly processHolding: (group: number) => string | null;
}

const prefix = 'vfio-operator';

/** Opens it: reads past allocations, removes sockets an earlier agent left. Throws `FileError` when the state directory cannot be used. */
export async function openKubelet(parts: OpenKubeletParts): Promise<KubeletSide> {
  const { files, clock, grpc, paths, logger } = parts;
  const store = await AllocationStore.open({ files, clock }, `${parts.state}/allocations`);
  for (const problem of store.problems) logger.warn({ file: `${parts.state}/allocations` }, problem);
  const socket = `${parts.kubeletRoot}/pod-resources/kubelet.sock`;
  const readPods = (): Promise<PodResourcesReading> => readPodResources({ grpc, clock }, socket, parts.ownPod ?? null);
  const allocator = new Allocator(
    {
      files,
      clock,
      store,
      cdi: createCdiFiles(files, parts.cdiDirectory),
      readPods,
      lookAgain: () => parts.onChange('a pod wants a group that may be free'),
      verify: createVerifyDevice(files, paths, parts.ledger),
      findGroupUser: parts.processHolding,
    },
    {
      hostRoot: paths.root,
      pluginDirectory: parts.devicePluginsDirectory,
      bootId: parts.bootId,
      onChange: () => plugins.refresh(),
    },
  );
  const directory =
    parts.registration === 'legacy' ? parts.devicePluginsDirectory : `${parts.kubeletRoot}/plugins_registry`;
  const plugins = new DevicePlugins(
    { grpc, files, clock, random: parts.random },
    {
      prefix,
      directory,
      registration:
        parts.registration === 'legacy' ? registerByCall({ grpc, files }, directory) : registerByDirectory(directory),
      allocator: observeCalls(allocator, parts),
      onState: (state) => {
        const { resource, registered, capacity, healthy, lastError } = state;
        logger.debug({ resource, registered, capacity, healthy, lastError }, 'resource state');
      },
    },
  );
  const removed = await plugins.clean();
  if (removed.length > 0) logger.info({ removed }, 'removed the sockets of an earlier agent');
  let known: ReadonlySet<string> = new Set();
  let told = '';
  const describe = async (): Promise<void> => {
    const { written, removed: gone, problems } = await allocator.describe();
    if (written.length + gone.length > 0) logger.info({ written, removed: gone }, 'CDI documents changed');
    // The same trouble at every pass is told once; Allocate says it to each pod.
    if (problems.length > 0 && problems.join() !== told)
      logger.warn({ problems }, 'CDI documents are not as they should be');
    told = problems.join();
  };
  const groups = watchGroups({
    clock,
    held: () => store.heldGroups(),
    ask: async (held) => {
      await allocator.observe(await readPods());
      return allocator.isLetGo(held);
    },
    gone: () => parts.onChange('a pod is gone'),
  });
  return {
    async offer(pools) {
      known = new Set(pools.map((pool) => pool.resource));
      await Promise.all([plugins.apply(pools), describe()]);
    },
    told: (pools) => allocator.told(pools),
    async readUse(): Promise<KubeletUse> {
      const reading = await readPods();
      // A look at the processes precedes it.
      await allocator.observeAfterLook(reading);
      const recent = allocator.recentHolders();
      if ('unreadable' in reading) return { holders: recent, unreadable: reading.unreadable };
      const resources = new Set([...known, ...offeredResources(parts.ledger())]);
      return { holders: [...toHolders(reading.holders, resources), ...recent], unreadable: null };
    },
    get resources() {
      return plugins.states();
    },
    async stop() {
      await groups.close();
      await plugins.stop();
      await store.close();
    },
  };
}

function offeredResources(ledger: Ledger): readonly string[] {
  return [...ledger.entries.values()].flatMap((entry) => entry.resource ?? []);
}

/** The allocator with every call timed and told. */
function observeCalls(allocator: Allocator, { clock, metrics, logger, onChange }: OpenKubeletParts): PluginAllocator {
  const refused = (resource: string, ids: readonly string[], call: string, error: unknown): void =>
    logger.warn({ resource, ids, error: error instanceof Error ? error.message : String(error) }, `${call} refused`);
  return {
    update: (pools) => allocator.update(pools),
    list: (resource) => allocator.list(resource),
    handlers: (resource) => {
      const handlers = allocator.handlers(resource);
      return {
        prefer: handlers.prefer,
        async allocate(ids) {
          const begun = clock.monotonic();
          try {
            const answer = await handlers.allocate(ids);
            metrics.observeAllocate(resource, true, clock.monotonic() - begun);
            logger.info({ resource, ids, environment: answer.envs }, 'allocated');
            return answer;
          } catch (error) {
            metrics.observeAllocate(resource, false, clock.monotonic() - begun);
            refused(resource, ids, 'Allocate', error);
            throw error;
          } finally {
            onChange('allocated');
          }
        },
        async preStart(ids) {
          try {
            await handlers.preStart(ids);
            onChange('a container starts');
          } catch (error) {
            refused(resource, ids, 'PreStartContainer', error);
            throw error;
          }
        },
      };
    },
  };
}

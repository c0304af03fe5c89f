// Kubelet's device manager: which plugins are registered, what their devices are, which container was given which. Follows
// k8s.io/kubernetes pkg/kubelet/cm/devicemanager: the newest registration of a name wins, a lost plugin leaves its devices unhealthy
// for five minutes and then no resource, answers are asked for once and kept.
import type { GrpcError } from '../../kubelet/ports.ts';
import type { Clock, Files } from '../../runtime/ports.ts';
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts';
import type { GivenDevices } from './checkpoint.ts';
import type { EndpointListener, PluginEndpoint } from './plugin-endpoint.ts';
import { UnexpectedAdmissionError } from './pod.ts';

/** How long a resource whose plugin is gone is still listed, in milliseconds. */
const endpointGrace = 5 * 60_000;

/** What kubelet says of one resource in the node's status. */
export interface ResourceCount {
  readonly capacity: number;
  readonly allocatable: number;
}

interface Resource {
  endpoint: PluginEndpoint | null;
  /** When its plugin was lost; null while it is there. */
  lostAt: number | null;
}

/** The device manager of one run of kubelet. */
export class DeviceManager implements EndpointListener {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #directory: string;
  readonly #onChange: (text: string) => void;
  readonly #resources = new Map<string, Resource>();
  #given: readonly GivenDevices[] = [];
  #writing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(files: Files, clock: Clock, directory: string, onChange: (text: string) => void) {
    this.#files = files;
    this.#clock = clock;
    this.#directory = directory;
    this.#onChange = onChange;
    const checkpoint = readCheckpoint(files, directory);
    this.#given = checkpoint.given;
    for (const resource of Object.keys(checkpoint.registered)) {
      this.#resources.set(resource, { endpoint: null, lostAt: clock.monotonic() });
    }
  }

  /** Takes a plugin that was dialled, in place of an earlier one, and opens its list. */
  register(endpoint: PluginEndpoint): void {
    if (this.#stopped) {
      endpoint.stop();
      return;
    }
    this.#resources.get(endpoint.resource)?.endpoint?.stop();
    this.#resources.set(endpoint.resource, { endpoint, lostAt: null });
    this.#onChange(`${endpoint.resource} is registered`);
    endpoint.watch();
  }

  /** Drops a plugin that announced itself by a socket which is gone. */
  deregister(endpoint: PluginEndpoint): void {
    if (this.#resources.get(endpoint.resource)?.endpoint !== endpoint || !endpoint.live) return;
    endpoint.stop();
    this.onEnd(endpoint, null);
  }

  onList(endpoint: PluginEndpoint): void {
    if (this.#resources.get(endpoint.resource)?.endpoint !== endpoint) return;
    const { devices, healthyIds } = endpoint;
    this.#onChange(`${endpoint.resource} has ${devices.length} devices, ${healthyIds.length} healthy`);
    this.#saveInBackground();
  }

  onEnd(endpoint: PluginEndpoint, error: GrpcError | null): void {
    const resource = this.#resources.get(endpoint.resource);
    if (resource?.endpoint !== endpoint) return;
    resource.lostAt = this.#clock.monotonic();
    this.#onChange(`${endpoint.resource} ended its list${error === null ? '' : `: ${error.message}`}`);
    this.#saveInBackground();
  }

  /** Capacity and allocatable of every resource. */
  counts(): ReadonlyMap<string, ResourceCount> {
    const counts = new Map<string, ResourceCount>();
    for (const [name, { endpoint, lostAt }] of this.#resources) {
      if (lostAt !== null && this.#clock.monotonic() - lostAt >= endpointGrace) {
        this.#resources.delete(name);
        continue;
      }
      counts.set(name, { capacity: endpoint?.devices.length ?? 0, allocatable: endpoint?.healthyIds.length ?? 0 });
    }
    return counts;
  }

  endpoint(resource: string): PluginEndpoint | null {
    return this.#resources.get(resource)?.endpoint ?? null;
  }

  endpoints(): readonly PluginEndpoint[] {
    return [...this.#resources.values()].flatMap(({ endpoint }) => (endpoint === null ? [] : [endpoint]));
  }

  /** Everything given to one pod, or to all. */
  given(podUid?: string): readonly GivenDevices[] {
    return podUid === undefined ? this.#given : this.#given.filter((entry) => entry.podUid === podUid);
  }

  /** True when `count` devices of the resource are given to the container already and they are healthy still. */
  stillHealthy(given: GivenDevices): boolean {
    const healthy = new Set(this.endpoint(given.resource)?.healthyIds);
    return Object.values(given.ids)
      .flat()
      .every((id) => healthy.has(id));
  }

  /** Gives `count` devices to a container: asks the plugin which, asks it for the answer, and keeps that. */
  async give(podUid: string, container: string, resource: string, count: number): Promise<void> {
    const endpoint = this.endpoint(resource);
    const healthy = endpoint?.healthyIds ?? [];
    if (endpoint === null || healthy.length === 0) {
      throw new UnexpectedAdmissionError(`no healthy devices present; cannot allocate ${resource}`);
    }
    const taken = new Set(this.#given.flatMap((entry) => (entry.resource === resource ? allIds(entry) : [])));
    const available = healthy.filter((id) => !taken.has(id));
    if (available.length < count) {
      throw new UnexpectedAdmissionError(`${count} of ${resource} requested, ${available.length} available`);
    }
    const ids = await this.#choose(endpoint, available, count);
    const answer = await endpoint.allocate(ids).catch((error: unknown) => {
      throw new UnexpectedAdmissionError(
        `Allocate of ${resource} failed: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    });
    const byNode: Record<string, string[]> = {};
    for (const id of ids) (byNode[String(endpoint.numaNode(id))] ??= []).push(id);
    this.#given = [...this.#given, { podUid, container, resource, ids: byNode, answer }];
    await this.#save();
  }

  /** Forgets what pods hold that are no longer there. */
  async release(keep: (podUid: string) => boolean): Promise<void> {
    this.#given = this.#given.filter((entry) => keep(entry.podUid));
    await this.#save();
  }

  /** Drops every plugin, as kubelet's end does. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const endpoint of this.endpoints()) endpoint.stop();
    await this.#writing;
  }

  /** Asks for a preference where there is a choice; a hint with foreign or too few ids is filled up, an error refuses the pod. */
  async #choose(endpoint: PluginEndpoint, available: readonly string[], count: number): Promise<readonly string[]> {
    if (available.length === count || !endpoint.options.getPreferredAllocationAvailable)
      return available.slice(0, count);
    const preferred = await endpoint.prefer(available, [], count).catch((error: unknown) => {
      throw new UnexpectedAdmissionError(`GetPreferredAllocation of ${endpoint.resource} failed`, { cause: error });
    });
    const usable = [...new Set(preferred)].filter((id) => available.includes(id)).slice(0, count);
    return [...usable, ...available.filter((id) => !usable.includes(id))].slice(0, count);
  }

  /** Lists end after the process has: a dead kubelet writes nothing, into the files of the next one least of all. */
  #saveInBackground(): void {
    if (this.#stopped) return;
    this.#save().catch((error: unknown) => this.#onChange(`checkpoint not written: ${String(error)}`));
  }

  #save(): Promise<void> {
    const registered: Record<string, readonly string[]> = {};
    for (const endpoint of this.endpoints()) registered[endpoint.resource] = endpoint.healthyIds;
    const checkpoint = { given: this.#given, registered };
    this.#writing = this.#writing.then(
      () => writeCheckpoint(this.#files, this.#directory, checkpoint),
      () => writeCheckpoint(this.#files, this.#directory, checkpoint),
    );
    return this.#writing;
  }
}

/** The ids in an entry of the checkpoint. */
export function allIds(given: GivenDevices): readonly string[] {
  return Object.values(given.ids).flat();
}

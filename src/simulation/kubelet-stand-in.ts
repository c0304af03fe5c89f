// A kubelet that behaves like the real one towards device plugins: at its start it deletes every socket in its directory, it dials
// back within Register, never redials, marks devices unhealthy when their list ends, asks Allocate once per container and resource,
// repeats that answer for ever, calls PreStartContainer before every start, and serves PodResources. Pods are admitted one by one.
import { answer, devicePluginVersion, registration } from '../kubelet/contracts.ts';
import type { ListedDevice, RegisterRequest } from '../kubelet/messages.ts';
import { GrpcError } from '../kubelet/ports.ts';
import type { Grpc, GrpcServer } from '../kubelet/ports.ts';
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files } from '../runtime/ports.ts';
import { DeviceManager, allIds } from './kubelet/device-manager.ts';
import type { ResourceCount } from './kubelet/device-manager.ts';
import { PluginEndpoint } from './kubelet/plugin-endpoint.ts';
import { PluginWatcher } from './kubelet/plugin-watcher.ts';
import { ContainerStartError, UnexpectedAdmissionError, mergeAnswers } from './kubelet/pod.ts';
import type { ContainerConfig, Pod, PodPhase, PodSpec } from './kubelet/pod.ts';
import { podResourcesRoutes } from './kubelet/pod-resources-service.ts';
import { refuseResourceName } from './kubelet/resource-name.ts';

export interface KubeletStandInOptions {
  /** Its device-plugins directory. */
  readonly directory: string;
  /** Its pod-resources directory. */
  readonly podResourcesDirectory: string;
  /** Its plugins_registry directory; null: it looks at none. */
  readonly registryDirectory: string | null;
  /** How long it dials a plugin that does not listen; the real one 10 s. */
  readonly dialDeadline?: number;
  /** Hears what kubelet would log. */
  readonly onEvent?: (text: string) => void;
}

/** What it does wrong on demand. */
export interface KubeletFaults {
  /** Thrown by every Register; null: none. */
  register: GrpcError | null;
  /** Thrown by every call of PodResources; null: none. */
  podResources: GrpcError | null;
  /** Milliseconds before every answer of Register and PodResources. */
  late: number;
}

/** The simulated kubelet. */
export class KubeletStandIn {
  readonly faults: KubeletFaults = { register: null, podResources: null, late: 0 };
  readonly #ports: { readonly grpc: Grpc; readonly files: Files; readonly clock: Clock };
  readonly #options: KubeletStandInOptions;
  readonly #pods = new Map<string, Pod>();
  #manager: DeviceManager | null = null;
  #watcher: PluginWatcher | null = null;
  #servers: readonly GrpcServer[] = [];
  #admitting: Promise<unknown> = Promise.resolve();
  #uids = 0;

  constructor(
    ports: { readonly grpc: Grpc; readonly files: Files; readonly clock: Clock },
    options: KubeletStandInOptions,
  ) {
    this.#ports = ports;
    this.#options = options;
  }

  /** Starts: cleans its directory, listens, and admits again what was admitted and did not run yet. */
  async start(): Promise<void> {
    const { files, grpc, clock } = this.#ports;
    const { directory, podResourcesDirectory, registryDirectory } = this.#options;
    await files.makeDirectory(directory, 0o750);
    await files.makeDirectory(podResourcesDirectory, 0o750);
    await this.#removeSockets(directory);
    await this.#removeSockets(podResourcesDirectory);
    const manager = new DeviceManager(files, clock, directory, (text) => this.#options.onEvent?.(text));
    this.#manager = manager;
    this.#servers = [
      await grpc.serve(
        `${podResourcesDirectory}/kubelet.sock`,
        podResourcesRoutes(
          manager,
          () => [...this.#pods.values()].filter((pod) => pod.phase !== 'Failed'),
          async () => {
            await this.#dawdle(clock);
            if (this.faults.podResources !== null) throw this.faults.podResources;
          },
        ),
      ),
      await grpc.serve(`${directory}/kubelet.sock`, [
        answer(registration.register, async (request) => {
          await this.#dawdle(clock);
          await this.#register(manager, request);
          return {};
        }),
      ]),
    ];
    for (const pod of this.#pods.values()) this.#readmit(manager, pod);
    if (registryDirectory !== null) {
      await files.makeDirectory(registryDirectory, 0o750);
      this.#watcher = new PluginWatcher(this.#ports, registryDirectory, manager);
      this.#watcher.start();
    }
  }

  /** Ends the process; containers run on. */
  async stop(): Promise<void> {
    this.#watcher?.stop();
    this.#watcher = null;
    await this.#manager?.stop();
    this.#manager = null;
    await Promise.all(this.#servers.map((server) => server.close(0)));
    this.#servers = [];
  }

  async #dawdle(clock: Clock): Promise<void> {
    const { late } = this.faults;
    if (late > 0) await new Promise<void>((resolve) => void clock.after(late, resolve));
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Capacity and allocatable as node status would say. */
  resources(): ReadonlyMap<string, ResourceCount> {
    return this.#running().counts();
  }

  /** Devices of `resource` as the last message on its list said them, Unhealthy once the list has ended; null: not registered. */
  devices(resource: string): readonly ListedDevice[] | null {
    return this.#running().endpoint(resource)?.devices ?? null;
  }

  /** How many messages the plugin of `resource` has sent on its open list. */
  messages(resource: string): number {
    return this.#running().endpoint(resource)?.messages ?? 0;
  }

  /** File name of the socket that serves `resource`; null when it is not registered or its list has ended. */
  socket(resource: string): string | null {
    const endpoint = this.#running().endpoint(resource);
    return endpoint === null || !endpoint.live ? null : endpoint.socket.slice(endpoint.socket.lastIndexOf('/') + 1);
  }

  /** Ends the list of one plugin, as a fault of the connection would. */
  cutStream(resource: string): void {
    const manager = this.#running();
    const endpoint = manager.endpoint(resource);
    if (endpoint !== null) manager.deregister(endpoint);
  }

  /** Admits a pod: rejects with `UnexpectedAdmissionError`, and the pod is failed for good. */
  admit(spec: PodSpec): Promise<void> {
    const admitted = this.#admitting.then(() => this.#admit(spec));
    this.#admitting = admitted.catch(() => undefined);
    return admitted;
  }

  /**
   * Starts a container of an admitted pod, or starts it again: PreStartContainer of every resource, no new Allocate. Rejects with
   * `ContainerStartError`; the pod stays, and calling again is what kubelet's back-off does.
   */
  async startContainer(namespace: string, name: string, container: string): Promise<ContainerConfig> {
    const manager = this.#running();
    const pod = this.#pod(namespace, name);
    const given = manager.given(pod.uid).filter((entry) => entry.container === container);
    for (const entry of given) {
      const endpoint = manager.endpoint(entry.resource);
      try {
        if (endpoint === null) throw new GrpcError('Unavailable', `${entry.resource} is not registered`);
        if (endpoint.options.preStartRequired) await endpoint.preStart(allIds(entry));
      } catch (error) {
        pod.running.delete(container);
        const why = error instanceof Error ? error.message : String(error);
        throw new ContainerStartError(`PreStartContainer of ${entry.resource} failed: ${why}`, { cause: error });
      }
    }
    pod.running.add(container);
    pod.phase = 'Running';
    return mergeAnswers(given);
  }

  /** Admits a pod and starts its containers; what each was created with, by container name. */
  async run(spec: PodSpec): Promise<ReadonlyMap<string, ContainerConfig>> {
    await this.admit(spec);
    const started = new Map<string, ContainerConfig>();
    for (const { name } of spec.containers) {
      started.set(name, await this.startContainer(spec.namespace, spec.name, name));
    }
    return started;
  }

  /** Device ids that a pod holds, by resource. */
  held(namespace: string, name: string): ReadonlyMap<string, readonly string[]> {
    const held = new Map<string, readonly string[]>();
    for (const given of this.#running().given(this.#pod(namespace, name).uid)) {
      held.set(given.resource, [...(held.get(given.resource) ?? []), ...allIds(given)]);
    }
    return held;
  }

  /** A pod's phase and, when it failed, why; null when there is no such pod. */
  phase(namespace: string, name: string): { readonly phase: PodPhase; readonly reason: string | null } | null {
    const pod = this.#pods.get(`${namespace}/${name}`);
    return pod === undefined ? null : { phase: pod.phase, reason: pod.reason };
  }

  /** Ends a pod and forgets it. */
  async deletePod(namespace: string, name: string): Promise<void> {
    this.#pods.delete(`${namespace}/${name}`);
    await this.#forgetGone();
  }

  async #register(manager: DeviceManager, request: RegisterRequest): Promise<void> {
    if (this.faults.register !== null) throw this.faults.register;
    if (request.version !== devicePluginVersion) {
      throw new GrpcError('Unknown', `version ${request.version} is not supported; supported: ${devicePluginVersion}`);
    }
    const refusal = refuseResourceName(request.resourceName);
    if (refusal !== null) throw new GrpcError('Unknown', refusal);
    const socket = `${this.#options.directory}/${request.endpoint}`;
    const deadline = this.#options.dialDeadline ?? 10_000;
    const endpoint = await PluginEndpoint.dial(this.#ports, request.resourceName, socket, deadline, manager);
    if (this.#manager === manager) manager.register(endpoint);
    else endpoint.stop();
  }

  async #admit(spec: PodSpec): Promise<void> {
    const manager = this.#running();
    this.#uids += 1;
    const pod: Pod = { uid: `uid-${this.#uids}`, spec, phase: 'Admitted', reason: null, running: new Set() };
    this.#pods.set(`${spec.namespace}/${spec.name}`, pod);
    await this.#forgetGone();
    try {
      for (const container of spec.containers) {
        for (const [resource, count] of Object.entries(container.limits)) {
          await manager.give(pod.uid, container.name, resource, count);
        }
      }
    } catch (error) {
      await this.#fail(pod, error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** After a restart: what runs is left alone, what does not needs healthy devices now, and the plugins are not back yet. */
  #readmit(manager: DeviceManager, pod: Pod): void {
    if (pod.phase !== 'Admitted') return;
    const lost = manager.given(pod.uid).find((given) => !manager.stillHealthy(given));
    if (lost === undefined) return;
    pod.phase = 'Failed';
    pod.reason = new UnexpectedAdmissionError(`no healthy devices present; cannot allocate ${lost.resource}`).message;
    this.#options.onEvent?.(`pod ${pod.spec.namespace}/${pod.spec.name}: ${pod.reason}`);
  }

  async #fail(pod: Pod, reason: string): Promise<void> {
    pod.phase = 'Failed';
    pod.reason = reason;
    this.#options.onEvent?.(`pod ${pod.spec.namespace}/${pod.spec.name}: UnexpectedAdmissionError: ${reason}`);
    await this.#forgetGone();
  }

  /** Frees what is held by pods that are gone or failed; the real one does so lazily, at the next look at its books. */
  #forgetGone(): Promise<void> {
    const active = new Set([...this.#pods.values()].filter((pod) => pod.phase !== 'Failed').map((pod) => pod.uid));
    return this.#manager?.release((uid) => active.has(uid)) ?? Promise.resolve();
  }

  async #removeSockets(directory: string): Promise<void> {
    const { files } = this.#ports;
    for (const name of files.list(directory)) {
      try {
        if (files.linkStat(`${directory}/${name}`).kind === 'socket') await files.remove(`${directory}/${name}`);
      } catch (error) {
        // A plugin that saw its stream end removes its own socket at the same time.
        if (!(error instanceof FileError) || error.code !== 'ENOENT') throw error;
      }
    }
  }

  #running(): DeviceManager {
    if (this.#manager === null) throw new Error('the simulated kubelet is not running');
    return this.#manager;
  }

  #pod(namespace: string, name: string): Pod {
    const pod = this.#pods.get(`${namespace}/${name}`);
    if (pod === undefined) throw new Error(`no pod ${namespace}/${name}`);
    return pod;
  }
}

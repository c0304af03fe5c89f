// A pod on the simulated node, as far as kubelet's device manager knows one.
import type { ContainerAllocateResponse, DeviceSpec, Mount } from '../../kubelet/messages.ts';
import type { GivenDevices } from './checkpoint.ts';

interface ContainerSpec {
  readonly name: string;
  /** Extended resource → how many, as in `resources.limits`. */
  readonly limits: Readonly<Record<string, number>>;
}

export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly containers: readonly ContainerSpec[];
}

/** `Failed` is for good: a controller has to make another pod. */
export type PodPhase = 'Admitted' | 'Running' | 'Failed';

export interface Pod {
  readonly uid: string;
  readonly spec: PodSpec;
  phase: PodPhase;
  /** Why it failed. */
  reason: string | null;
  /** Names of the containers that run. */
  readonly running: Set<string>;
}

/** What a container is created with: the plugins' answers merged as kubelet merges them. */
export type ContainerConfig = ContainerAllocateResponse;

/** The pod was refused for good; the message is the pod's event. */
export class UnexpectedAdmissionError extends Error {
  override readonly name = 'UnexpectedAdmissionError';
}

/** The container was not started; kubelet would try again with back-off. The message is the pod's event. */
export class ContainerStartError extends Error {
  override readonly name = 'ContainerStartError';
}

/** Merges the answers for one container: of variables the first wins, of devices the first with its path. */
export function mergeAnswers(given: readonly GivenDevices[]): ContainerConfig {
  const envs: Record<string, string> = {};
  const annotations: Record<string, string> = {};
  const devices = new Map<string, DeviceSpec>();
  const mounts = new Map<string, Mount>();
  const cdiDevices = new Set<string>();
  for (const { answer } of given) {
    for (const [name, value] of Object.entries(answer.envs)) envs[name] ??= value;
    for (const [name, value] of Object.entries(answer.annotations)) annotations[name] ??= value;
    for (const device of answer.devices) {
      if (!devices.has(device.containerPath)) devices.set(device.containerPath, device);
    }
    for (const mount of answer.mounts) if (!mounts.has(mount.containerPath)) mounts.set(mount.containerPath, mount);
    for (const name of answer.cdiDevices) cdiDevices.add(name);
  }
  return {
    envs,
    annotations,
    devices: [...devices.values()],
    mounts: [...mounts.values()],
    cdiDevices: [...cdiDevices],
  };
}

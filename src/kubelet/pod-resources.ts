// Who holds which devices, by kubelet's own account. An answer that cannot be had is said so and never taken for "nobody".
import type { Holder } from '../domain/ledger.ts';
import type { Clock } from '../runtime/ports.ts';
import { call, podResources } from './contracts.ts';
import type { Method } from './contracts.ts';
import type { ContainerDevices, Empty, PodResources } from './messages.ts';
import { GrpcError } from './ports.ts';
import type { Grpc } from './ports.ts';

/** Answers carry processor lists too; kubelet's own clients allow this much. */
const receiveLimit = 16 * 1024 * 1024;

/** Milliseconds for one call, and the pauses before it is tried again: all clients together asked too often, or kubelet knows no pods yet. */
const callDeadline = 5_000;
const pauses = [100, 200, 400, 800];

/** One device that a container holds, of whatever plugin. */
export interface PodHolder {
  readonly resource: string;
  readonly id: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

/** What PodResources said, or why nothing is known. `begun` is the monotonic time before which nothing is in it for certain. */
export type PodResourcesReading =
  { readonly holders: readonly PodHolder[]; readonly begun: number } | { readonly unreadable: string };

/** Devices that kubelet could give out, by resource, or why that is not known. */
export type AllocatableReading = { readonly devices: readonly ContainerDevices[] } | { readonly unreadable: string };

/**
 * Reads who holds what. `socket`: kubelet.sock in the pod-resources directory. Never rejects. A kubelet that has just started answers before
 * it has heard of its pods from the API server, and then shows none (List in pkg/kubelet/apis/podresources/server_v1.go has all pods that it
 * knows, with devices or without); so an agent that runs in a pod names it as `ownPod`, and an answer without that pod is none.
 */
export async function readPodResources(
  ports: { readonly grpc: Grpc; readonly clock: Clock },
  socket: string,
  ownPod: string | null = null,
): Promise<PodResourcesReading> {
  for (let attempt = 0; ; attempt += 1) {
    const begun = ports.clock.monotonic();
    const answer = await ask(ports, socket, podResources.list);
    if ('unreadable' in answer) return answer;
    const pods = answer.response.podResources;
    if (ownPod === null || pods.some(({ name }) => name === ownPod)) return { holders: pods.flatMap(holdersIn), begun };
    const pause = pauses[attempt];
    if (pause === undefined) {
      const why = `it does not list the agent's own pod ${ownPod}, so it has not heard of its pods since it started`;
      return { unreadable: `${podResources.list.path} at ${socket}: ${why}` };
    }
    await wait(ports.clock, pause);
  }
}

function holdersIn({ namespace, name: pod, containers }: PodResources): readonly PodHolder[] {
  return containers.flatMap(({ name: container, devices }) =>
    devices.flatMap(({ resourceName: resource, ids }) =>
      ids.map((id) => ({ resource, id, namespace, pod, container })),
    ),
  );
}

/** Reads what kubelet could give out: the healthy devices of every plugin. Never rejects. */
export async function readAllocatableResources(
  ports: { readonly grpc: Grpc; readonly clock: Clock },
  socket: string,
): Promise<AllocatableReading> {
  const answer = await ask(ports, socket, podResources.getAllocatableResources);
  return 'unreadable' in answer ? answer : { devices: answer.response.devices };
}

// A full PCI address, as most plugins name their devices.
const pciAddress = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** The holders that concern devices of this host: those of our own `resources`, and foreign ones whose id is a PCI address. */
export function toHolders(holders: readonly PodHolder[], resources: ReadonlySet<string>): readonly Holder[] {
  return holders.flatMap(({ resource, id, namespace, pod, container }) => {
    const address = id.toLowerCase();
    const who = `pod ${namespace}/${pod} (${container}) holds it as ${resource}`;
    return resources.has(resource)
      ? [{ address: id, code: 'HeldByPod' as const, who }]
      : pciAddress.test(address)
        ? [{ address, code: 'HeldByPod' as const, who }]
        : [];
  });
}

async function ask<Response>(
  { grpc, clock }: { readonly grpc: Grpc; readonly clock: Clock },
  socket: string,
  method: Method<Empty, Response>,
): Promise<{ readonly response: Response } | { readonly unreadable: string }> {
  for (let attempt = 0; ; attempt += 1) {
    // A channel of its own for each call: kubelet makes the socket anew at every start.
    const channel = grpc.connect(socket, { receiveLimit });
    try {
      return { response: await call(channel, method, {}, callDeadline) };
    } catch (error) {
      const pause = pauses[attempt];
      if (pause === undefined || !(error instanceof GrpcError) || error.code !== 'ResourceExhausted') {
        return { unreadable: describe(method.path, socket, error) };
      }
      await wait(clock, pause);
    } finally {
      channel.close();
    }
  }
}

function wait(clock: Clock, milliseconds: number): Promise<void> {
  return new Promise((resolve) => void clock.after(milliseconds, resolve));
}

function describe(path: string, socket: string, error: unknown): string {
  const what = error instanceof Error ? error.message : String(error);
  return `${path} at ${socket}: ${error instanceof GrpcError ? `${error.code}: ` : ''}${what}`;
}

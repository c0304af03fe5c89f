// Who holds which devices, by kubelet's own account. An answer that cannot be had is said so and never taken for "nobody".
import type { Holder } from '../domain/ledger.ts';
import type { Clock } from '../runtime/ports.ts';
import { call, podResources } from './contracts.ts';
import type { Method } from './contracts.ts';
import type { ContainerDevices, Empty } from './messages.ts';
import { GrpcError } from './ports.ts';
import type { Grpc } from './ports.ts';

/** Answers carry processor lists too; kubelet's own clients allow this much. */
const receiveLimit = 16 * 1024 * 1024;

/** Milliseconds for one call, and the pauses before it is tried again when all clients together asked too often. */
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

/** Reads who holds what. `socket`: kubelet.sock in the pod-resources directory. Never rejects. */
export async function readPodResources(
  ports: { readonly grpc: Grpc; readonly clock: Clock },
  socket: string,
): Promise<PodResourcesReading> {
  const begun = ports.clock.monotonic();
  const answer = await ask(ports, socket, podResources.list);
  if ('unreadable' in answer) return answer;
  const holders = answer.response.podResources.flatMap((pod) =>
    pod.containers.flatMap((container) =>
      container.devices.flatMap(({ resourceName, ids }) =>
        ids.map((id) => ({
          resource: resourceName,
          id,
          namespace: pod.namespace,
          pod: pod.name,
          container: container.name,
        })),
      ),
    ),
  );
  return { holders, begun };
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
      await new Promise<void>((resolve) => clock.after(pause, resolve));
    } finally {
      channel.close();
    }
  }
}

function describe(path: string, socket: string, error: unknown): string {
  const what = error instanceof Error ? error.message : String(error);
  return `${path} at ${socket}: ${error instanceof GrpcError ? `${error.code}: ` : ''}${what}`;
}

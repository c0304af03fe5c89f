// The kubelet stand-in in a guest of the lab, as tests use it: its pods, what its plugins' lists say, and when it heard that.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ContainerAllocateResponse, ListedDevice } from '../../../src/kubelet/messages.ts';
import type { Guest, GuestProcess } from '../lab/guest.ts';
import { LabError } from '../lab/lab-error.ts';

/** Devices by resource name, as kubelet has them. */
export type KubeletListing = Readonly<Record<string, readonly ListedDevice[]>>;

/** What the process in the guest can be asked. A pod has one container and one device of one resource. */
export type KubeletRequest =
  | { readonly command: 'start' | 'stop' | 'listing' }
  | { readonly command: 'admit'; readonly pod: string; readonly resource: string }
  | { readonly command: 'startContainer' | 'held' | 'deletePod'; readonly pod: string };

/** What it says: the answer to a request, or what kubelet heard. */
export type KubeletLine =
  | { readonly id: number; readonly milliseconds: number; readonly value: unknown }
  | { readonly id: number; readonly milliseconds: number; readonly error: string }
  | { readonly event: string; readonly resources: KubeletListing };

/** An answer; `milliseconds` by the guest's clock. */
export interface Timed<Value> {
  readonly value: Value;
  readonly milliseconds: number;
}

export interface KubeletInGuest {
  /** Starts or ends kubelet itself; the process that plays it stays. A start deletes every socket in its directories. */
  start(): Promise<void>;
  stop(): Promise<void>;
  listing(): Promise<KubeletListing>;
  /** Waits until the lists fit; the time is Date.now() of the test machine when that was seen. */
  waitForListing(what: string, fits: (listing: KubeletListing) => boolean, within?: number): Promise<number>;
  /** Admits a pod with one device of `resource`: Allocate. Rejects with the pod's event. */
  admit(pod: string, resource: string): Promise<Timed<null>>;
  /** PreStartContainer, and what the container is created with. Rejects with the pod's event. */
  startContainer(pod: string): Promise<Timed<ContainerAllocateResponse>>;
  /** The ids that a pod holds. */
  held(pod: string): Promise<readonly string[]>;
  deletePod(pod: string): Promise<void>;
}

/** Starts the process and kubelet in it; resolves when it listens. */
export async function startKubeletInGuest(guest: Guest): Promise<KubeletInGuest> {
  const script = fileURLToPath(new URL('kubelet-process.ts', import.meta.url));
  const child = await guest.spawn(`exec node ${script}`);
  const ask = requester(child);
  const value = async (request: KubeletRequest): Promise<unknown> => (await ask(request)).value;
  await ask({ command: 'start' });
  const listing = async (): Promise<KubeletListing> => (await value({ command: 'listing' })) as KubeletListing;
  return {
    start: async () => void (await ask({ command: 'start' })),
    stop: async () => void (await ask({ command: 'stop' })),
    listing,
    async waitForListing(what, fits, within = 180_000) {
      // What has been told by itself comes first: only that tells when it came.
      for (const deadline = Date.now() + within; ; await sleep(5)) {
        const last = lastEvent(child);
        if (last !== undefined && fits(last.resources)) return Date.now();
        if (Date.now() > deadline)
          throw new LabError(`${within} ms went by without kubelet hearing of ${what}.`, {
            detail: `${JSON.stringify(await listing())}\n${child.stdout()}\n${child.stderr()}`,
          });
      }
    },
    admit: async (pod, resource) => (await ask({ command: 'admit', pod, resource })) as Timed<null>,
    startContainer: async (pod) => (await ask({ command: 'startContainer', pod })) as Timed<ContainerAllocateResponse>,
    held: async (pod) =>
      Object.values((await value({ command: 'held', pod })) as Record<string, readonly string[]>).flat(),
    deletePod: async (pod) => void (await ask({ command: 'deletePod', pod })),
  };
}

/** Sends one request at a time or several, and finds each one's answer. */
function requester(child: GuestProcess): (request: KubeletRequest) => Promise<Timed<unknown>> {
  let asked = 0;
  return async (request) => {
    const id = (asked += 1);
    await child.input(`${JSON.stringify({ ...request, id })}\n`);
    const marker = new RegExp(`^\\{"id":${id},.*\\}$`, 'm');
    await child.waitFor(marker, 180_000);
    const answer = JSON.parse(marker.exec(child.stdout())?.[0] ?? '{}') as Timed<unknown> & { readonly error?: string };
    if (answer.error !== undefined) throw new LabError(answer.error);
    return answer;
  };
}

function lastEvent(child: GuestProcess): Extract<KubeletLine, { readonly event: string }> | undefined {
  const text = child.stdout();
  const begin = text.lastIndexOf('\n{"event":', text.lastIndexOf('\n') - 1);
  const from = begin === -1 && text.startsWith('{"event":') ? 0 : begin + 1;
  if (begin === -1 && from !== 0) return undefined;
  const line = text.slice(from, text.indexOf('\n', from));
  return line.startsWith('{"event":')
    ? (JSON.parse(line) as Extract<KubeletLine, { readonly event: string }>)
    : undefined;
}

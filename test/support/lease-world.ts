// Replicas that compete for one Lease in virtual time: an API server that knows nothing but this Lease and refuses what is not newest,
// and processes that can be paused as a whole, with whatever they were waiting for.
import type { ApiAnswer, ApiConnection, ApiRequest } from '../../src/kube/api-connection.ts';
import { ApiError } from '../../src/kube/api-error.ts';
import { type LeaderElection, startLeaderElection } from '../../src/kube/leader-election.ts';
import type { Clock } from '../../src/runtime/ports.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import type { VirtualClock } from '../../src/simulation/virtual-clock.ts';

interface Lease {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly spec: {
    readonly holderIdentity: string;
    readonly leaseTransitions: number;
    readonly acquireTime: string;
    readonly renewTime: string;
    readonly leaseDurationSeconds: number;
  };
}

export interface LeaseServer {
  readonly lease: Lease | null;
  /** Milliseconds until a request is carried out, and from then until its answer is there. */
  delays: { readonly there: number; readonly back: number };
  /** Requests get no answer; `after`: they are carried out all the same. */
  silent: 'no' | 'before' | 'after';
  /** Every request is answered so. */
  answer: ApiAnswer | null;
  remove(): void;
  connect(clock: Clock): ApiConnection;
  readonly requests: readonly ApiRequest[];
}

export function createLeaseServer(world: Clock): LeaseServer {
  let lease: Lease | null = null;
  let version = 1;
  const requests: ApiRequest[] = [];
  const carryOut = ({ method, body }: ApiRequest): ApiAnswer => {
    const answer = (status: number): ApiAnswer => ({ status, body: status < 300 ? lease : null, retryAfter: null });
    if (method === 'GET') return answer(lease === null ? 404 : 200);
    const wanted = structuredClone(body) as Lease;
    if (method === 'POST' ? lease !== null : lease === null) return answer(method === 'POST' ? 409 : 404);
    if (lease !== null && wanted.metadata.resourceVersion !== lease.metadata.resourceVersion) return answer(409);
    version += 1;
    lease = { ...wanted, metadata: { ...wanted.metadata, resourceVersion: String(version) } };
    return answer(200);
  };
  const server: LeaseServer = {
    get lease() {
      return lease;
    },
    delays: { there: 5, back: 5 },
    silent: 'no',
    answer: null,
    requests,
    remove() {
      lease = null;
    },
    connect: (clock) => ({
      server: { host: 'api', port: 6443 },
      sent: { GET: 0, POST: 0, PUT: 0, PATCH: 0, DELETE: 0, WATCH: 0 },
      close: () => undefined,
      watch: () => Promise.reject(new ApiError('Unreachable', 'no watches here')),
      request: (request) =>
        new Promise((resolve, reject) => {
          requests.push(request);
          const { there, back } = server.delays;
          const { silent } = server;
          const limit = clock.after(request.deadline ?? 30_000, () => reject(new ApiError('Timeout', 'no answer')));
          if (silent === 'before') return;
          // What is on its way arrives, whatever becomes of its sender.
          world.after(there, () => {
            const answer = server.answer ?? carryOut(request);
            if (silent === 'after') return;
            clock.after(back, () => {
              limit.cancel();
              resolve(answer);
            });
          });
        }),
    }),
  };
  return server;
}

export interface Replica {
  readonly name: string;
  readonly election: LeaderElection;
  readonly events: readonly string[];
  pause(): void;
  resume(): void;
}

/** Starts a replica on the server; its timers and answers wait while it is paused. */
export function startReplica(name: string, server: LeaseServer, world: VirtualClock, seed: number): Replica {
  const events: string[] = [];
  let paused = false;
  let held: (() => void)[] = [];
  const clock: Clock = {
    now: () => world.now(),
    monotonic: () => world.monotonic(),
    after(milliseconds, run) {
      let cancelled = false;
      const timer = world.after(milliseconds, () => {
        const unlessCancelled = (): void => {
          if (!cancelled) run();
        };
        if (paused) held.push(unlessCancelled);
        else unlessCancelled();
      });
      return {
        cancel() {
          cancelled = true;
          timer.cancel();
        },
      };
    },
  };
  const election = startLeaderElection({
    connection: server.connect(clock),
    clock,
    random: createSeededRandom(seed),
    namespace: 'vfio-operator',
    lease: 'controller',
    identity: name,
    onLead: ({ succession }) => events.push(succession ? 'leads after another' : 'leads'),
    onLost: (why) => events.push(`lost: ${why}`),
    onWait: (why) => events.push(`waits: ${why}`),
  });
  return {
    name,
    election,
    events,
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      const runs = held;
      held = [];
      for (const run of runs) run();
    },
  };
}

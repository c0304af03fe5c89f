// Where a deliberately broken agent differs: wrappers around what the agent is given, so that the product itself needs no switches.
import type { KubeletSide } from '../../src/agent/kubelet-side.ts';
import type { PolicySource } from '../../src/agent/start-agent.ts';
import type { HostObserver } from '../../src/host/observe-host.ts';
import type { KernelWorker } from '../../src/host/ports.ts';
import type { Grpc } from '../../src/kubelet/ports.ts';
import type { Files } from '../../src/runtime/ports.ts';

/** Each wraps one part; absent: the part as it is. */
export interface Mutation {
  readonly files?: (files: Files) => Files;
  readonly observer?: (observer: HostObserver) => HostObserver;
  readonly kubelet?: (kubelet: KubeletSide) => KubeletSide;
  readonly policies?: (source: PolicySource) => PolicySource;
  readonly grpc?: (grpc: Grpc) => Grpc;
  readonly worker?: (worker: KernelWorker) => KernelWorker;
}

// What every command is given: the machine below it, and where it prints.
import type { ProofOptions } from '../host/proof/collect-proofs.ts';
import type { KernelWorker } from '../host/ports.ts';
import type { PodResourcesReading } from '../kubelet/pod-resources.ts';
import type { Grpc } from '../kubelet/ports.ts';
import type { Clock, Files, Processes, Random, Sockets } from '../runtime/ports.ts';
import type { OpenCluster } from './read-cluster.ts';
import type { Terminal } from './terminal.ts';

export interface CliParts {
  readonly files: Files;
  readonly clock: Clock;
  readonly sockets: Sockets;
  readonly terminal: Terminal;
  /** Reads what may block in the kernel; no process is started before the first use. */
  readonly worker: KernelWorker;
  /** How this machine's disks and addresses are read; of no use for a copy. */
  readonly proofs: Pick<ProofOptions, 'disks' | 'ownAddresses'>;
  /** What pods hold, by kubelet's socket; its library is loaded on first use. */
  readonly readPods: (socket: string) => Promise<PodResourcesReading>;
  /** What writing to this machine needs beside, loaded on first use. */
  readonly writer: () => Promise<WriterMachine>;
  /** A cluster's API server; what it needs is loaded on first use. */
  readonly openCluster: OpenCluster;
  /** Plain data as YAML; the library is loaded on first use. */
  readonly toYaml: (value: unknown) => Promise<string>;
}

export interface WriterMachine {
  readonly random: Random;
  readonly processes: Processes;
  readonly grpc: Grpc;
}

/** Forms of an answer. */
export type OutputFormat = 'table' | 'json' | 'yaml';

/** Prints an answer: its data in the machine-readable forms, else what `render` makes of it. */
export async function printAnswer(
  parts: Pick<CliParts, 'terminal' | 'toYaml'>,
  format: OutputFormat,
  data: unknown,
  render: () => string,
): Promise<void> {
  switch (format) {
    case 'json':
      parts.terminal.out(JSON.stringify(data, null, 2));
      return;
    case 'yaml':
      parts.terminal.out((await parts.toYaml(data)).trimEnd());
      return;
    case 'table':
      parts.terminal.out(render());
  }
}

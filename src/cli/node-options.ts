// What `plan`, `explain` and `release` are told about the node and its policies.
import type { HostOptions } from './open-host.ts';

export interface NodeOptions extends HostOptions {
  /** Directory of policy files; null: those the agent kept in its state directory. */
  readonly policies: string | null;
  /** State directory. */
  readonly state: string;
  /** null: the host's own name. */
  readonly nodeName: string | null;
  /** Name of this machine, for when the host is this machine. */
  readonly machineName: string;
  /** Labels of a node of that name. */
  readonly labelsOf: (name: string) => Readonly<Record<string, string>>;
  /** The agent may load modules. */
  readonly loadModules: boolean;
}

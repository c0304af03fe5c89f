// What the agent needs of its Node object: the labels that policies select by, the identity that owns the node state, the addresses
// whose interfaces must stay.
import { isRecord, type KubeObject } from '../../kube/kube-object.ts';

export interface NodeFacts {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** IP addresses of the node, internal and external. */
  readonly addresses: readonly string[];
}

/** Reads a Node. What it lacks is empty. */
export function toNodeFacts({ metadata, status }: KubeObject): NodeFacts {
  const labels = Object.entries(isRecord(metadata.labels) ? metadata.labels : {});
  const addresses = isRecord(status) && Array.isArray(status.addresses) ? status.addresses : [];
  return {
    name: metadata.name,
    uid: metadata.uid,
    labels: Object.fromEntries(
      labels
        .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ),
    addresses: addresses.flatMap((entry: unknown) =>
      isRecord(entry) && /^(Internal|External)IP$/.test(String(entry.type)) && typeof entry.address === 'string'
        ? [entry.address]
        : [],
    ),
  };
}

// kstatus's verdict on a custom resource, by its rules (sigs.k8s.io/cli-utils, pkg/kstatus: generic.go, and for Ready the legacy
// rules of core.go). What Flux, kpt and others that build on it see.
import type { Condition } from '../../src/api/generated/types.ts';

export type KstatusVerdict = 'Current' | 'InProgress' | 'Failed' | 'Terminating';

/** The part of an object that the rules read. */
export interface JudgedObject {
  readonly metadata: { readonly generation?: number; readonly deletionTimestamp?: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly Pick<Condition, 'type' | 'status'>[];
  };
}

export function kstatus({ metadata, status = {} }: JudgedObject): KstatusVerdict {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { generation } = metadata;
  const { observedGeneration, conditions = [] } = status;
  if (generation !== undefined && observedGeneration !== undefined && generation !== observedGeneration)
    return 'InProgress';
  // The first of the two in the list decides.
  for (const condition of conditions) {
    if (condition.status !== 'True') continue;
    if (condition.type === 'Reconciling') return 'InProgress';
    if (condition.type === 'Stalled') return 'Failed';
  }
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

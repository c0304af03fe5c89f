// Situations of a policy, each with what kstatus and Argo CD must say to its status. The statuses are made by the aggregation, so the
// table holds the whole way from node states to the verdict; a few documents nobody aggregated stand at the end.
import { clip } from '../../src/domain/clip.ts';
import { digestNodeState } from '../../src/domain/policy-status-digest.ts';
import type { JudgedObject, KstatusVerdict } from './kstatus.ts';
import { device, facts, node, seen, statusOf } from './policy-status.ts';

export type ArgoHealth = 'Healthy' | 'Progressing' | 'Degraded';

export interface Situation {
  readonly title: string;
  readonly object: JudgedObject;
  readonly kstatus: KstatusVerdict;
  readonly argo: ArgoHealth;
}

type Made = Parameters<typeof statusOf>;

function made(title: string, nodes: Made[0], policy: Made[1], verdict: KstatusVerdict): Situation {
  const argo = verdict === 'Current' ? 'Healthy' : verdict === 'Failed' ? 'Degraded' : 'Progressing';
  const { generation } = policy ?? facts();
  return { title, object: { metadata: { generation }, status: statusOf(nodes, policy) }, kstatus: verdict, argo };
}

const broken = (decision: 'Failed' | 'Quarantined' | 'Stuck'): Situation =>
  made(
    `a device is ${decision}`,
    [node([device(), device({ address: '0000:02:00.0', decision, message: clip('write to bind: EBUSY', 80) })])],
    undefined,
    'Failed',
  );

export const situations: readonly Situation[] = [
  made('no node at all', [], undefined, 'Current'),
  made('nodes without a matching device', [node([])], undefined, 'Current'),
  made('every device bound', [node([device()]), node([device()])], undefined, 'Current'),
  made(
    'a device refused',
    [node([device({ decision: 'Refused', code: 'RootStorage', message: 'nvme0n1p2 is mounted on /' })])],
    undefined,
    'Current',
  ),
  made(
    'a device left to another policy',
    [node([device({ policy: 'other', alsoWantedBy: ['gpus'] })])],
    undefined,
    'Current',
  ),
  made('a device to be bound', [node([device({ decision: 'Bind' })])], undefined, 'InProgress'),
  made('a device to be released', [node([device({ decision: 'Release' })])], undefined, 'InProgress'),
  made('a device held by a pod', [node([device({ decision: 'Held', code: 'HeldByPod' })])], undefined, 'InProgress'),
  made('an agent that has seen an older generation', [node([device()])], facts({ generation: 2 }), 'InProgress'),
  made('an agent that has written nothing yet', [node([], { digest: null })], undefined, 'InProgress'),
  made(
    'an agent that has seen another policy of this name',
    [node([device()], { digest: digestNodeState({ policies: [seen({ uid: 'uid-of-before' })] }) })],
    undefined,
    'InProgress',
  ),
  made(
    'a node without agent',
    [node([device()]), node([device({ decision: 'Bind' })], { agent: 'Missing' })],
    undefined,
    'Current',
  ),
  made(
    'an agent that is not ready',
    [node([device({ decision: 'Bind' })], { agent: 'NotReady' })],
    undefined,
    'Current',
  ),
  made('a node that is gone', [node([device({ decision: 'Stuck' })], { labels: null })], undefined, 'Current'),
  broken('Failed'),
  broken('Quarantined'),
  broken('Stuck'),
  made(
    'a device failed while others are on the way',
    [node([device({ decision: 'Failed' })]), node([device({ decision: 'Bind' })])],
    undefined,
    'Failed',
  ),
  made(
    'policies in conflict',
    [node([device({ decision: 'Refused', code: 'Conflict', message: 'policies a and b differ' })])],
    undefined,
    'Failed',
  ),
  made(
    'invalid for an agent',
    [node([], { status: { policies: [seen({ code: 'Invalid', message: 'no' })] } })],
    undefined,
    'Failed',
  ),
  made('invalid for the controller', [node([])], facts({ invalid: 'spec.mode: unknown word' }), 'Failed'),
  made(
    'DryRun with much to do',
    [node([], { status: { dryRun: [device({ decision: 'Bind' }), device({ decision: 'Held', code: 'HeldByPod' })] } })],
    facts({ mode: 'DryRun' }),
    'Current',
  ),
  {
    title: 'no status yet, by the CRD without default',
    object: { metadata: { generation: 1 } },
    kstatus: 'Current',
    argo: 'Progressing',
  },
  {
    title: 'no status yet, by the CRD with a default of -1',
    object: { metadata: { generation: 1 }, status: { observedGeneration: -1 } },
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  {
    title: 'a spec newer than the status',
    object: { metadata: { generation: 2 }, status: statusOf([node([device()])]) },
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  {
    title: 'being deleted',
    object: {
      metadata: { generation: 1, deletionTimestamp: '2026-11-22T12:00:00Z' },
      status: statusOf([node([device()])]),
    },
    kstatus: 'Terminating',
    argo: 'Progressing',
  },
];

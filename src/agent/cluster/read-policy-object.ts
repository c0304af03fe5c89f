// One VfioPolicy object of the API server as the agent takes it. It is held to this program's own schema all the same: a newer CRD may
// have fields that this program does not know, and a selector of which it does not understand a part would match too much.
import { apiVersion, policyKind } from '../../api/constants.ts';
import type { ObjectMeta, VfioPolicy } from '../../api/generated/types.ts';
import { parsePolicy } from '../../domain/parse-policy.ts';
import type { Policy } from '../../domain/policy.ts';
import { checkSchema, formatFieldPath } from '../../kube/check-schema.ts';
import { vfioPolicySpecSchema } from '../../kube/generated/vfio-policy-schema.ts';
import { isRecord, type KubeObject } from '../../kube/kube-object.ts';

/** A policy that this program understands whole. */
export interface GoodPolicy {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** As the API server has it, with the schema's defaults; of the metadata what tells one policy from another. */
  readonly document: VfioPolicy;
  readonly policy: Policy;
}

/** One that it does not. */
export interface BadPolicy {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** Everything that is wrong, with field paths. */
  readonly message: string;
}

export type PolicyObject = GoodPolicy | BadPolicy;

/** Reads an object of the collection. Never throws: what does not fit is a `BadPolicy`. */
export function readPolicyObject(object: KubeObject): PolicyObject {
  const { name, uid, generation, creationTimestamp } = object.metadata;
  const who = { name, uid, generation: typeof generation === 'number' ? generation : 0 };
  const metadata: ObjectMeta = {
    ...who,
    ...(typeof creationTimestamp === 'string' ? { creationTimestamp } : {}),
  };
  const { value, problems } = checkSchema(object.spec ?? null, vfioPolicySpecSchema, ['spec']);
  if (problems.length > 0) {
    return { ...who, message: problems.map(({ keys, message }) => `${formatFieldPath(keys)}: ${message}`).join('; ') };
  }
  const document = { apiVersion, kind: policyKind, metadata, spec: value } as VfioPolicy;
  const parsed = parsePolicy(document, `${policyKind}/${name}`);
  if ('policy' in parsed) return { ...who, document, policy: parsed.policy };
  return { ...who, message: parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; ') };
}

/** Reads a document that was kept by an earlier agent; null: this program does not understand it. */
export function readKeptDocument(document: unknown): GoodPolicy | null {
  if (!isRecord(document) || !isRecord(document.metadata)) return null;
  const { name, uid } = document.metadata;
  if (typeof name !== 'string' || typeof uid !== 'string') return null;
  const read = readPolicyObject(document as unknown as KubeObject);
  return 'policy' in read ? read : null;
}

// Ready means registered, or nothing to register: a pod that is green while kubelet knows nothing of its devices helps nobody.
import type { KubeletSide } from './kubelet-side.ts';

/** What it is judged by: an agent, as far as it matters here. */
interface ReadinessEvidence {
  /** The last finished pass; null before the first. */
  readonly report: object | null;
  /** Why the last pass failed; null when it did not. */
  readonly problem: string | null;
  readonly kubelet: Pick<KubeletSide, 'resources'>;
}

/** The verdict of /readyz. `agent` is null while it starts. */
export function judgeReadiness(
  agent: ReadinessEvidence | null,
  kubelet: 'required' | 'none',
): { readonly ok: boolean; readonly message: string } {
  if (agent === null) return { ok: false, message: 'starting' };
  if (agent.report === null) return { ok: false, message: agent.problem ?? 'the first pass has not ended yet' };
  if (agent.problem !== null) return { ok: false, message: `the last pass failed: ${agent.problem}` };
  if (kubelet === 'none') return { ok: true, message: 'ready; without a kubelet nothing is registered' };
  const missing = agent.kubelet.resources.filter((resource) => !resource.registered);
  if (missing.length === 0)
    return { ok: true, message: `ready; ${agent.kubelet.resources.length} resources registered` };
  const names = missing.map(
    (resource) => `${resource.resource}${resource.lastError === null ? '' : ` (${resource.lastError})`}`,
  );
  return { ok: false, message: `not registered with kubelet: ${names.join('; ')}` };
}

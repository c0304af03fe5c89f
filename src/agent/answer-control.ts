// Answers on the control socket: `status` for people who ask the running agent, `release` for a device they want back.
import type { Ledger } from '../domain/ledger.ts';
import type { ControlAnswer, ControlRequest } from '../host/host-lock.ts';
import type { KubeletSide } from './kubelet-side.ts';
import type { PassReport, Reconciler } from './reconcile.ts';

export interface ControlParts {
  readonly reconciler: Reconciler;
  readonly report: () => PassReport | null;
  readonly problem: () => string | null;
  readonly kubelet: KubeletSide;
  readonly ledger: () => Ledger;
}

export async function answerControl(request: ControlRequest, parts: ControlParts): Promise<ControlAnswer> {
  switch (request.command) {
    case 'release':
      return parts.reconciler.release(request.address);
    case 'status': {
      const report = parts.report();
      const problem = parts.problem();
      const message = problem ?? (report === null ? 'the first pass has not ended yet' : 'running');
      const data = {
        decisions: report?.plan.decisions.map(({ address, kind, code, policy, resource, message: why, driverNow }) => ({
          address,
          decision: kind,
          code,
          policy,
          resource,
          driver: driverNow,
          message: why,
        })),
        holders: report?.inUse.holders,
        resources: parts.kubelet.resources,
        taken: parts.ledger().entries.size,
      };
      return { ok: problem === null, message, data };
    }
  }
}

// The last look before the first write: who uses the group now, and what speaks against taking its members from the host. Looks that
// are asked for while one is waiting to begin share it, so that a hundred virtual functions do not cost a hundred scans.
import { checkHolders, checkTransaction, type CheckInput } from '../domain/check-transaction.ts';
import type { PlanInput } from '../domain/plan-input.ts';
import type { PolicySet } from '../domain/policy.ts';
import { policiesOfNode } from '../domain/plan.ts';
import type { Transaction } from '../domain/step.ts';
import type { Journal } from '../host/journal.ts';
import type { HostObserver } from '../host/observe-host.ts';
import type { ApplyContext, Check } from './apply-context.ts';
import type { KubeletSide } from './kubelet-side.ts';

export interface PreflightParts {
  readonly observer: HostObserver;
  readonly kubelet: KubeletSide;
  readonly journal: Journal;
  readonly policies: () => PolicySet;
  readonly node: PlanInput['node'];
}

/** The two checks that applying asks for. A look that fails is a refusal: what cannot be seen counts as in use. */
export function createPreflight(parts: PreflightParts): Pick<ApplyContext, 'preflight' | 'holders'> {
  let next: { readonly addresses: Set<string>; readonly look: Promise<CheckInput> } | null = null;
  let last: Promise<unknown> = Promise.resolve();

  const look = async (addresses: ReadonlySet<string>): Promise<CheckInput> => {
    const ledger = parts.journal.ledger();
    const policies = policiesOfNode({ node: parts.node, policies: parts.policies() });
    const waiting = [...addresses];
    const observation = await parts.observer.observe({
      policies,
      ledger,
      // Transactions side by side begin while this look scans: a read in the group of one that is in the kernel waits as long as it does.
      ledgerNow: () => parts.journal.ledger(),
      alsoInterested: waiting,
      waiting,
    });
    const use = await parts.kubelet.readUse();
    return {
      inventory: observation.inventory,
      findings: observation.findings,
      catalog: observation.catalog,
      inUse: { holders: [...use.holders, ...observation.holders], unreadable: use.unreadable },
      ledger,
    };
  };

  /** Joins the look that has not begun yet, or asks for one after the one in progress. */
  const share = (transaction: Transaction): Promise<CheckInput> => {
    const members = transaction.members.map((member) => member.identity.address);
    if (next !== null) {
      for (const address of members) next.addresses.add(address);
      return next.look;
    }
    const addresses = new Set(members);
    const begun = last.then(() => {
      next = null;
      return look(addresses);
    });
    next = { addresses, look: begun };
    last = begun.catch(() => undefined);
    return begun;
  };

  const check = async (
    transaction: Transaction,
    judge: (transaction: Transaction, input: CheckInput) => Check,
  ): Promise<Check> => {
    try {
      return judge(transaction, await share(transaction));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { ok: false, code: 'Unproven', message: `the host could not be looked at: ${why}` };
    }
  };
  return {
    preflight: (transaction) => check(transaction, checkTransaction),
    holders: (transaction) => check(transaction, checkHolders),
  };
}

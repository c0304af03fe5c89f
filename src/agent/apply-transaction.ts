// A transaction from preflight to commit. Nothing is written to the host before the journal has it on disk; a step that fails is
// undone; a step that does not return is left alone, and so is its whole group.
import { settleTransaction } from '../domain/settle-transaction.ts';
import { describeStep, type Identity, type Transaction } from '../domain/step.ts';
import { touches, toResolvedSteps, type OpenTransaction } from '../host/journal-fold.ts';
import { JournalError } from '../host/journal-record.ts';
import { observeIdentity } from '../host/observe-device.ts';
import { verifyBound } from '../host/verify-bound.ts';
import type { ApplyContext, ApplyOutcome } from './apply-context.ts';
import { runStep } from './run-step.ts';
import { endTransaction, undoTransaction } from './undo-transaction.ts';

/** Applies one transaction. Never rejects for what host, kernel or disk do. */
export async function applyTransaction(transaction: Transaction, context: ApplyContext): Promise<ApplyOutcome> {
  const { journal } = context;
  const obstacle = findObstacle(transaction, context);
  if (obstacle !== null) return { outcome: 'NotBegun', why: obstacle };
  const before = await checkHost(transaction, context);
  if (before !== null) return before;

  const id = journal.newId();
  const at = context.host.clock.now();
  try {
    await journal.append({ type: 'Begun', id, bootId: journal.bootId, at, transaction });
  } catch (error) {
    if (error instanceof JournalError) return { outcome: 'NotBegun', why: error.message };
    throw error;
  }
  const ended = await runSteps(id, transaction, context);
  if (ended !== null) return ended;
  const missing = await verifyTransaction(openTransaction(id, context), context);
  if (missing !== null) return undoTransaction(openTransaction(id, context), missing, context);
  return commitTransaction(openTransaction(id, context), context);
}

/** Writes into the ledger what a transaction has done. */
export function commitTransaction(open: OpenTransaction, context: ApplyContext): Promise<ApplyOutcome> {
  const before = new Map(open.before.map((entry) => [entry.address, entry]));
  const change = settleTransaction(open.transaction, toResolvedSteps(open), open.bootId, before);
  return endTransaction({ type: 'Committed', id: open.id, ...change }, { outcome: 'Applied' }, context);
}

/** What is missing of the VFIO files of the devices that a transaction bound; null when nothing is. */
export async function verifyTransaction(open: OpenTransaction, context: ApplyContext): Promise<string | null> {
  const { kind, members } = open.transaction;
  if (kind !== 'Bind' && kind !== 'ChangeDriver') return null;
  const steps = toResolvedSteps(open);
  for (const { bus, identity } of members) {
    const bind = steps.findLast((step) => step.kind === 'Bind' && step.address === identity.address);
    const driver = bind?.kind === 'Bind' ? bind.driver.name : identity.driver;
    const missing = await verifyBound(context.host, bus, identity.address, driver ?? 'a VFIO driver');
    if (missing !== null) return missing;
  }
  return null;
}

/** Runs all steps; null when all are done, else how the transaction ended. */
async function runSteps(id: number, transaction: Transaction, context: ApplyContext): Promise<ApplyOutcome | null> {
  let loaded = false;
  let written = false;
  for (const [index, step] of transaction.steps.entries()) {
    if (loaded && !written && step.kind !== 'LoadModule') {
      // Loading may have taken long, and brings drivers along that take devices: what was true before may not be now.
      const changed = await checkHost(transaction, context);
      if (changed !== null) {
        const cause = changed.outcome === 'Refused' ? changed.proof : changed.why;
        return endTransaction({ type: 'RolledBack', id, cause }, changed, context);
      }
    }
    if (step.kind === 'LoadModule') loaded = true;
    else written = true;
    const run = await runStep(step, { id, key: transaction.key, index, direction: 'Forward' }, context);
    switch (run.outcome) {
      case 'Done':
        continue;
      case 'Failed':
        return undoTransaction(openTransaction(id, context), run.said, context);
      case 'Barred':
        return { outcome: 'Quarantined', why: `${describeStep(step)} was not begun: ${run.why}` };
      case 'Stuck':
      case 'Interrupted':
        return run;
    }
  }
  return null;
}

type Obstacle = Extract<ApplyOutcome, { outcome: 'Refused' | 'NotBegun' }>;

/** Identity first, since a look at another device's use would prove nothing. A change of the ledger alone needs no more. */
async function checkHost(transaction: Transaction, context: ApplyContext): Promise<Obstacle | null> {
  for (const { bus, identity } of transaction.members) {
    const changed = compareIdentity(identity, observeIdentity(context.host, bus, identity.address));
    if (changed !== null) return { outcome: 'NotBegun', why: `${identity.address} ${changed} since it was planned` };
  }
  if (transaction.steps.length === 0) return null;
  const check = await context.preflight(transaction);
  return check.ok ? null : { outcome: 'Refused', code: check.code, proof: check.message };
}

function compareIdentity(planned: Identity, now: Identity | null): string | null {
  if (now === null) return 'is gone';
  if (now.modalias !== planned.modalias) return `has become another device (${now.modalias ?? 'no modalias'})`;
  if (now.driver !== planned.driver)
    return `has gone from ${planned.driver ?? 'no driver'} to ${now.driver ?? 'no driver'}`;
  if (now.iommuGroup !== planned.iommuGroup) {
    return `has moved from IOMMU group ${planned.iommuGroup ?? 'none'} to ${now.iommuGroup ?? 'none'}`;
  }
  return null;
}

function findObstacle(transaction: Transaction, context: ApplyContext): string | null {
  if (context.signal.aborted) return 'the agent is stopping';
  if (!context.isWriter()) return 'this process does not hold the host lock';
  const open = context.journal.open().find((one) => touches(one, transaction));
  if (open === undefined) return null;
  return `transaction ${open.id} of ${open.transaction.key} has not ended${open.stuck === null ? '' : `: ${open.stuck}`}`;
}

function openTransaction(id: number, context: ApplyContext): OpenTransaction {
  const open = context.journal.open().find((one) => one.id === id);
  if (open === undefined) throw new Error(`transaction ${id} is not in the journal`);
  return open;
}

// Journals of any bytes: either a clear JournalError, or records that were written, in order, from the first on. Never another record,
// never a gap: what the ledger then says is what it said at some moment.
import { openJournal } from '../../src/host/journal.ts';
import { emptyJournalState, foldRecord, toLedger } from '../../src/host/journal-fold.ts';
import { decodeJournal, JournalError } from '../../src/host/journal-record.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';
import { aMember, aTransaction, bindSteps, releaseSteps } from '../support/transactions.ts';
import { fuzzTarget, mustHold } from './fuzz-target.ts';
import { mutatedBytes } from './mutated-bytes.ts';

const boot = 'boot-1';
const journals = await makeJournals();
/** Every list of records that a journal of the corpus may be cut to, as text. */
const moments = new Set(
  journals.flatMap((text) => {
    const { records } = decodeJournal('journal', text, boot);
    return records.map((_, at) => JSON.stringify(records.slice(0, at + 1)));
  }),
);
const decoder = new TextDecoder();
const corpus = journals.map((text) => new Uint8Array(Buffer.from(text)));

export const journalTarget = fuzzTarget('journal', ['read', 'refused'], mutatedBytes(corpus), (bytes) => {
  const text = decoder.decode(bytes);
  for (const bootId of [boot, 'boot-2']) {
    const records = decode(text, bootId);
    if (records === null) continue;
    mustHold(moments.has(JSON.stringify(records)), 'records that were written, from the first on');
    toLedger(records.reduce(foldRecord, emptyJournalState));
  }
  return decode(text, boot) === null ? 'refused' : 'read';
});

function decode(text: string, bootId: string): ReturnType<typeof decodeJournal>['records'] | null {
  try {
    return decodeJournal('journal', text, bootId).records;
  } catch (error) {
    if (error instanceof JournalError && error.message.includes('journal')) return null;
    throw error;
  }
}

/** A life of two devices: bound, one of them released, the other left in the middle; and the same after a restart. */
async function makeJournals(): Promise<readonly string[]> {
  const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
  const options = { files, clock: createVirtualClock(), directory: '/state', bootId: boot };
  const texts: string[] = [];
  let journal = await openJournal(options);
  const keep = (): void => void texts.push(files.readText('/state/journal'));
  keep();
  for (const [device, steps] of [
    ['0000:01:00.0', bindSteps('0000:01:00.0', 'vfio_pci')],
    ['0000:02:00.0', bindSteps('0000:02:00.0', 'vfio_pci')],
    ['0000:01:00.0', releaseSteps('0000:01:00.0', 'vfio-pci', 'e1000e')],
  ] as const) {
    const transaction = aTransaction(steps[0]?.kind === 'LoadModule' ? 'Bind' : 'Release', [aMember(device)], steps);
    const id = journal.newId();
    await journal.append({ type: 'Begun', id, bootId: boot, at: 1, transaction });
    for (const [index, step] of steps.entries()) {
      const resolved =
        step.kind === 'Bind' || (step.kind === 'SetOverride' && step.driver !== null)
          ? { ...step, driver: { module: 'vfio_pci', name: 'vfio-pci' } }
          : step;
      await journal.append({ type: 'StepBegun', id, index, direction: 'Forward', step: resolved, worker: null });
      keep();
      journal.note({ type: 'StepDone', id, said: null });
    }
    const entry = journal.ledger().entries.get(device);
    if (entry !== undefined)
      await journal.append({ type: 'Committed', id, set: [{ ...entry, state: 'Taken', detail: null }], drop: [] });
    keep();
  }
  await journal.close();
  journal = await openJournal(options);
  keep();
  await journal.close();
  return texts;
}

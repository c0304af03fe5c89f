// The write-ahead journal: what we are about to do to a device is on disk before we do it. One writer (see host-lock.ts). A record
// counts once `append` has resolved; after an append that failed, the file is written anew from what counts before anything else.
import type { Ledger } from '../domain/ledger.ts';
import { FileError, type Clock, type Files, type LogFile } from '../runtime/ports.ts';
import { emptyJournalState, foldRecord, toLedger, type JournalState, type OpenTransaction } from './journal-fold.ts';
import {
  decodeJournal,
  encodeRecord,
  firstChecksum,
  JournalError,
  journalHeader,
  type JournalRecord,
} from './journal-record.ts';

/** An open journal. */
export interface Journal {
  readonly bootId: string;
  /** Bytes of an unfinished append that were cut off at the start; 0 for a clean end. */
  readonly tornBytes: number;
  /** The fold as the planner wants it. */
  ledger(): Ledger;
  /** Transactions that have begun and not ended, oldest first. */
  open(): readonly OpenTransaction[];
  /** A number for the next transaction, never given twice. */
  newId(): number;
  /** Durable when it resolves. Rejects with `JournalError` (`Unwritable`): then the record does not count. */
  append(record: JournalRecord): Promise<void>;
  /** For records that a crash may lose: counts at once, and reaches the disk with the next `append`. */
  note(record: JournalRecord): void;
  close(): Promise<void>;
}

/** What a journal needs. */
export interface JournalOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** The state directory; it exists. */
  readonly directory: string;
  readonly bootId: string;
  /** Size from which on the file is written anew, 256 KiB unless told. */
  readonly compactAt?: number;
}

const largest = 256 * 1024 * 1024;

/** The journal's fold, for readers that do not write. Throws `JournalError`; no journal at all is an empty one. */
export function readJournal(files: Files, directory: string, bootId: string): JournalState {
  return load(files, `${directory}/journal`, bootId).state;
}

/** Opens the journal for writing; the caller holds the host lock. Throws `JournalError`. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { files, clock, directory, bootId } = options;
  const path = `${directory}/journal`;
  const loaded = load(files, path, bootId);
  const opened: JournalRecord = { type: 'Opened', bootId, at: clock.now() };
  let state = foldRecord(loaded.state, opened);
  let nextId = state.nextId;
  let log: LogFile | null = null;
  let sum = firstChecksum;
  let size = 0;
  let sizeAfterRewrite = 0;
  let ledger: Ledger | null = null;
  const lazy: JournalRecord[] = [];
  const waiting: { record: JournalRecord; resolve: () => void; reject: (error: unknown) => void }[] = [];
  let flushing: Promise<void> | null = null;

  const fold = (record: JournalRecord): void => {
    state = foldRecord(state, record);
    ledger = null;
  };
  const encode = (records: readonly JournalRecord[]): string => {
    const encoder = new TextEncoder();
    let text = '';
    for (const record of records) {
      const encoded = encodeRecord(record, sum);
      sum = encoded.sum;
      text += encoded.line;
    }
    size += encoder.encode(text).length;
    return text;
  };
  // A new file beside the old one, durable before it takes its name: a crash leaves one of the two, whole.
  const rewrite = async (): Promise<void> => {
    await closeLog();
    const snapshot: JournalRecord = {
      type: 'Snapshot',
      entries: [...state.entries.values()],
      open: [...state.open.values()],
      nextId,
    };
    // They are in the snapshot.
    lazy.length = 0;
    sum = firstChecksum;
    size = journalHeader.length + 1;
    const fresh = await files.openLog(`${path}.new`, { truncate: true });
    try {
      await fresh.append(`${journalHeader}\n${encode([{ ...opened, at: clock.now() }, snapshot])}`);
      await fresh.sync();
      await files.rename(`${path}.new`, path);
      await files.syncDirectory(directory);
    } catch (error) {
      await fresh.close().catch(() => undefined);
      throw error;
    }
    sizeAfterRewrite = size;
    log = fresh;
  };
  const closeLog = async (): Promise<void> => {
    const old = log;
    log = null;
    // Its content counts no more, or is synced: an error here tells nothing.
    await old?.close().catch(() => undefined);
  };
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0);
      try {
        if (log === null || size > Math.max(options.compactAt ?? 256 * 1024, 4 * sizeAfterRewrite)) await rewrite();
        await log?.append(encode([...lazy.splice(0), ...batch.map(({ record }) => record)]));
        await log?.sync();
      } catch (error) {
        await closeLog();
        for (const { reject } of batch) reject(toUnwritable(path, error));
        continue;
      }
      for (const { record, resolve } of batch) {
        fold(record);
        resolve();
      }
    }
    flushing = null;
  };

  try {
    await rewrite();
  } catch (error) {
    throw toUnwritable(path, error);
  }
  await syncParents(files, directory);
  return {
    bootId,
    tornBytes: loaded.tornBytes,
    ledger: () => (ledger ??= toLedger(state)),
    open: () => [...state.open.values()].sort((a, b) => a.id - b.id),
    newId: () => nextId++,
    append: (record) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ record, resolve, reject });
        flushing ??= flush();
      }),
    note(record) {
      fold(record);
      lazy.push(record);
    },
    async close() {
      await flushing;
      if (lazy.length > 0 && log !== null) {
        await log.append(encode(lazy.splice(0)));
        await log.sync();
      }
      await closeLog();
    },
  };
}

// A state directory that was only just made is lost in a power cut unless its parents are on disk too. Those on a read-only or special
// file system were there before us.
async function syncParents(files: Files, directory: string): Promise<void> {
  for (let at = directory.lastIndexOf('/'); at >= 0; at = at === 0 ? -1 : directory.lastIndexOf('/', at - 1)) {
    await files.syncDirectory(at === 0 ? '/' : directory.slice(0, at)).catch(() => undefined);
  }
}

function load(
  files: Files,
  path: string,
  bootId: string,
): { readonly state: JournalState; readonly tornBytes: number } {
  let text: string;
  try {
    text = files.readText(path, largest);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return { state: emptyJournalState, tornBytes: 0 };
    const why = error instanceof Error ? error.message : String(error);
    throw new JournalError('Unreadable', path, `the journal cannot be read (${why}). No device is touched`, {
      cause: error,
    });
  }
  const { records, tornBytes } = decodeJournal(path, text, bootId);
  const state = records.reduce((before, record) => foldRecord(before, record), emptyJournalState);
  return { state, tornBytes };
}

function toUnwritable(path: string, error: unknown): JournalError {
  const why = error instanceof Error ? error.message : String(error);
  const message = `the journal ${path} cannot be written (${why}): nothing is written to any device until it can`;
  return new JournalError('Unwritable', path, message, { cause: error });
}

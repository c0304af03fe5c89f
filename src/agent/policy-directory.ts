// Policies from a directory of files, for a node without a cluster: watched, and looked at regularly all the same. A bad file is told
// and keeps its last good version, over restarts too; a policy is gone only after it was missing twice, some time apart, in a
// directory that could be read. An absent or unreadable directory means unknown, and nothing is gone.
import type { PolicySet } from '../domain/policy.ts';
import { documentsInForce, mergePolicyFiles } from '../kube/merge-policy-files.ts';
import type { MergedPolicies, PoliciesInForce } from '../kube/merge-policy-files.ts';
import type { DocumentProblem } from '../kube/policy-documents.ts';
import { readPolicyFiles } from '../kube/read-policy-files.ts';
import type { ReadPolicyFile } from '../kube/read-policy-files.ts';
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, Watch } from '../runtime/ports.ts';
import { createKeeper } from './kept-file.ts';
import { formatKeptPolicies, readKeptPolicies } from './kept-policies.ts';
import { createLookTimer } from './look-timer.ts';

/** The policies in force, and everything that is wrong with the files now. */
export interface PolicySnapshot {
  readonly set: PolicySet;
  readonly problems: readonly DocumentProblem[];
}

export interface PolicyDirectoryOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** Absolute path, without a slash at the end. */
  readonly directory: string;
  /** File in the state directory for the last good versions. */
  readonly keptFile: string;
  /** Called after the snapshot changed, never from within `openPolicyDirectory`. */
  readonly onChange: (snapshot: PolicySnapshot) => void;
  /** Milliseconds between two looks when no watch says to look. Default 10 s. */
  readonly poll?: number;
  /** Milliseconds a policy must be missing before it is gone. Default 1 s: editors and copying empty or move a file for a moment. */
  readonly settle?: number;
  /** Milliseconds to gather events of a watch. Default 100 ms. */
  readonly gather?: number;
}

export interface PolicyDirectory {
  readonly current: PolicySnapshot;
  /** Looks now; resolves when what was found is in `current` and kept. */
  look(): Promise<void>;
  /** Ends watching and waits for a look in progress. */
  close(): Promise<void>;
}

/** Opens the directory; when it resolves, `current` is what the files (or, where they cannot be read, the kept versions) say. */
export async function openPolicyDirectory(options: PolicyDirectoryOptions): Promise<PolicyDirectory> {
  const { files, clock, directory, keptFile, poll = 10_000, settle = 1_000, gather = 100 } = options;
  const kept = readKeptPolicies(files, keptFile, directory);
  let inForce: PoliciesInForce | null = kept.inForce;
  const keeper = createKeeper(files, keptFile, 'the last good policies', {
    words: kept.inForce === null ? null : formatKeptPolicies(directory, kept.inForce),
    problem: null,
  });
  let read: ReadonlyMap<string, ReadPolicyFile> = new Map();
  let missing: { readonly names: string; readonly since: number } | null = null;
  let current: PolicySnapshot = { set: { complete: false, policies: [], why: null }, problems: [] };
  let told = '';
  let watch: { readonly inode: number; readonly handle: Watch } | null = null;
  let closed = false;
  let looking: Promise<void> = Promise.resolve();

  const next = createLookTimer(clock, () => void look());
  const look = (): Promise<void> => (looking = looking.then(lookOnce));

  const lookOnce = async (): Promise<void> => {
    if (closed) return;
    ensureWatch();
    const found = readPolicyFiles(files, directory, read);
    if ('failure' in found) {
      missing = null;
      publish({ complete: false, why: `${found.failure}; policies stay as they were` }, []);
    } else {
      read = found.files;
      const merged = mergePolicyFiles(read, inForce);
      if (isSettled(merged)) {
        ({ inForce } = merged);
        const text = formatKeptPolicies(directory, merged.inForce);
        await keeper.keep(text, () => text);
      }
      publish(judge(merged), merged.problems);
    }
    next.within(missing === null ? poll : settle);
  };

  /** A name that is missing is believed the second time, `settle` later. */
  const isSettled = ({ lost }: MergedPolicies): boolean => {
    const names = lost.join(' ');
    if (names === '') {
      missing = null;
      return true;
    }
    if (missing?.names !== names) missing = { names, since: clock.monotonic() };
    if (clock.monotonic() - missing.since < settle) return false;
    missing = null;
    return true;
  };

  const publish = (verdict: Pick<PolicySet, 'complete' | 'why'>, problems: readonly DocumentProblem[]): void => {
    const policies = documentsInForce(inForce ?? new Map()).map(({ policy }) => policy);
    const first = told === '';
    const own = [keeper.problem, first ? kept.problem : null]
      .filter((message) => message !== null)
      .map((message) => ({ file: keptFile, line: 0, path: '', message }));
    const snapshot: PolicySnapshot = { set: { ...verdict, policies }, problems: [...problems, ...own] };
    const text = JSON.stringify(snapshot);
    if (text === told) return;
    told = text;
    current = snapshot;
    if (!first) options.onChange(current);
  };

  /** A watch dies with its directory, silently; another inode in its place needs another watch. */
  const ensureWatch = (): void => {
    try {
      const { inode } = files.stat(directory);
      if (watch?.inode === inode) return;
      watch?.handle.close();
      watch = null;
      watch = { inode, handle: files.watch(directory, () => next.within(gather)) };
    } catch (error) {
      // Looking regularly is enough; why the directory cannot be had, the look itself tells.
      if (!(error instanceof FileError)) throw error;
    }
  };

  await look();
  return {
    get current() {
      return current;
    },
    look,
    async close() {
      closed = true;
      next.close();
      watch?.handle.close();
      await looking;
    },
  };
}

function judge({ inForce }: MergedPolicies): Pick<PolicySet, 'complete' | 'why'> {
  const unknown = [...inForce].flatMap(([name, documents]) => (documents === null ? [name] : []));
  if (unknown.length === 0) return { complete: true, why: null };
  const why = `no good version of ${unknown.join(', ')} is known, so what it wants is unknown; nothing is released until it is right`;
  return { complete: false, why };
}

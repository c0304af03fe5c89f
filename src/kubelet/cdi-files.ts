// Our CDI documents in the directory that the container runtime reads, one file per kind. A file is there whole or not at all and is
// written only when it changes; it goes when nothing needs it any more. What others put there is never touched. Calls follow each other,
// so that a document is never written by two at once.
import { createHash } from 'node:crypto';
import { buildCdiSpecs, cdiKind } from '../domain/cdi-spec.ts';
import type { CdiSpec } from '../domain/cdi-spec.ts';
import type { ResourcePool } from '../domain/resource-pool.ts';
import { writeDurably } from '../runtime/durable-file.ts';
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';

/** What an `offer` came to: the paths written and removed, and a sentence for each that could not be. */
export interface CdiOutcome {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  readonly problems: readonly string[];
}

/** Whose devices are to have names. */
export interface CdiOffer {
  /** All pools of the node; those without `cdi` have a document only while `inUse` says so. */
  readonly pools: readonly ResourcePool[];
  /**
   * Resources of which pods have devices. A container that restarts asks the runtime for the names it was given at first, so a
   * document that exists stays until they are free, also when the policy has no `cdi` any more.
   */
  readonly inUse: ReadonlySet<string>;
}

export interface CdiFiles {
  /** Makes our part of the directory fit these pools. Never rejects over a file. */
  offer(offer: CdiOffer): Promise<CdiOutcome>;
  /** Makes sure of the one document that names the devices of `resource`. Resolves to null, or to the sentence that says why not. */
  ensure(resource: string, offer: CdiOffer): Promise<string | null>;
}

/** File name of a kind's document: its end makes runtimes read it, and its hash keeps slashes and length out. */
export function cdiFileName(kind: string): string {
  return `vfio-operator-${createHash('sha256').update(kind).digest('hex').slice(0, 16)}.json`;
}

const documentName = /^vfio-operator-[0-9a-f]{16}\.json$/;
// What writeDurably leaves behind when it is interrupted. Runtimes read only .json and .yaml.
const leftoverName = /^vfio-operator-[0-9a-f]{16}\.json\.new$/;

/** The files in `directory`, without a slash at its end. It is not made here: in a container that would be one that nobody reads. */
export function createCdiFiles(files: Files, directory: string): CdiFiles {
  let busy: Promise<unknown> = Promise.resolve();
  const alone = <Result>(run: () => Promise<Result>): Promise<Result> => {
    const result = busy.then(run);
    busy = result.catch(() => undefined);
    return result;
  };
  return {
    ensure: (resource, offer) =>
      alone(async () => {
        const kind = cdiKind(resource);
        const same = offer.pools.filter((pool) => cdiKind(pool.resource) === kind);
        const [spec] = buildCdiSpecs(describedPools(files, directory, { ...offer, pools: same }));
        const outcome = spec === undefined ? null : await put(files, directory, spec);
        return outcome?.problem ?? null;
      }),
    offer: (offer) =>
      alone(async () => {
        const specs = buildCdiSpecs(describedPools(files, directory, offer));
        const written: string[] = [];
        const problems: string[] = [];
        for (const spec of specs) {
          const { path, problem } = await put(files, directory, spec);
          if (problem !== null) problems.push(problem);
          else if (path !== null) written.push(path);
        }
        const stale = await removeStale(files, directory, new Set(specs.map((spec) => spec.kind)));
        return { written, removed: stale.removed, problems: [...problems, ...stale.problems] };
      }),
  };
}

function describedPools(files: Files, directory: string, { pools, inUse }: CdiOffer): readonly ResourcePool[] {
  return pools.filter((pool) => {
    if (pool.cdi || !inUse.has(pool.resource)) return pool.cdi;
    const kind = cdiKind(pool.resource);
    return readKind(files, `${directory}/${cdiFileName(kind)}`) === kind;
  });
}

/** Writes a document unless it is there already. `path` is null when nothing was written. */
async function put(
  files: Files,
  directory: string,
  spec: CdiSpec,
): Promise<{ readonly path: string | null; readonly problem: string | null }> {
  const path = `${directory}/${cdiFileName(spec.kind)}`;
  const text = `${JSON.stringify(spec, null, 2)}\n`;
  try {
    const present = readDocument(files, path);
    if (present === text) return { path: null, problem: null };
    const kind = present === null ? null : kindOf(present);
    if (kind !== null && kind !== spec.kind) {
      return { path: null, problem: `${path} holds the kind ${kind} of somebody else, so it is left alone; remove it` };
    }
    await writeDurably(files, path, text);
    return { path, problem: null };
  } catch (error) {
    return { path: null, problem: explain(error, directory, `the CDI document of ${spec.kind} cannot be written`) };
  }
}

async function removeStale(
  files: Files,
  directory: string,
  wanted: ReadonlySet<string>,
): Promise<{ readonly removed: readonly string[]; readonly problems: readonly string[] }> {
  const removed: string[] = [];
  const problems: string[] = [];
  for (const name of listOurs(files, directory)) {
    const path = `${directory}/${name}`;
    try {
      if (!leftoverName.test(name)) {
        const kind = readKind(files, path);
        if (kind === null || cdiFileName(kind) !== name || wanted.has(kind)) continue;
      }
      await files.remove(path);
      removed.push(path);
    } catch (error) {
      problems.push(explain(error, directory, `${path} is not needed any more and cannot be removed`));
    }
  }
  return { removed, problems };
}

// No directory, no files of ours; one that cannot be read is told by whoever writes to it.
function listOurs(files: Files, directory: string): readonly string[] {
  try {
    return files.list(directory).filter((name) => documentName.test(name) || leftoverName.test(name));
  } catch (error) {
    if (error instanceof FileError) return [];
    throw error;
  }
}

function readDocument(files: Files, path: string): string | null {
  try {
    return files.readText(path);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** The kind that a document says; null when there is none, or no document that can be understood. */
function readKind(files: Files, path: string): string | null {
  try {
    return kindOf(files.readText(path));
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}

function kindOf(text: string): string | null {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document !== 'object' || document === null || !('kind' in document)) return null;
    return typeof document.kind === 'string' ? document.kind : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function explain(error: unknown, directory: string, what: string): string {
  if (!(error instanceof FileError)) throw error;
  return `${what}: ${error.message}; ${directory} (--cdi-dir) must be the runtime's CDI directory, exist, and be writable for the agent`;
}

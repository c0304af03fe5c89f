// Sysfs attributes: text computed at the read, each write one command, and the ones that take a lock put whoever touches them to
// sleep while it is held. Read or written past the kernel worker, such an attribute stops the simulation with an error, since
// the real process would hang there without end.
import { FileError } from '../../runtime/ports.ts';
import type { Entry } from '../memory/entry.ts';
import type { ComputedNode } from '../memory/node.ts';
import type { Errno, Machine } from './machine.ts';
import { immediately, isLocked, locked } from './scheduler.ts';
import type { Lock, Thread } from './scheduler.ts';

/** What an attribute does. Without `show` it cannot be opened for reading, without `store` not for writing. */
export interface Attribute {
  readonly show?: () => string;
  /** Taken by the read. */
  readonly readLock?: Lock;
  /** Gets the text as written, at most one page of it. */
  readonly store?: (text: string) => Thread<Errno>;
}

const pageSize = 4096;

class SourceOfAttribute {
  readonly attribute: Attribute;
  constructor(attribute: Attribute) {
    this.attribute = attribute;
  }
}

/** The directory entry of an attribute. */
export function attributeEntry(machine: Machine, attribute: Attribute): Entry {
  const { show, store, readLock } = attribute;
  return {
    computed: true,
    source: new SourceOfAttribute(attribute),
    ...(show === undefined
      ? {}
      : {
          read: () => {
            if (readLock !== undefined && isLocked(readLock)) throw wouldSleep('reading');
            return show();
          },
        }),
    ...(store === undefined
      ? {}
      : {
          write: (text: string) => {
            const call = machine.scheduler.start(storeText(attribute, text));
            if (!call.state.done) throw wouldSleep('writing');
            if (call.state.value !== null) throw new FileError('write', '(attribute)', call.state.value);
          },
        }),
  };
}

/** write(2) of `text` into an open attribute or other computed file. */
export function* writeNode(node: ComputedNode, text: string): Thread<Errno> {
  if (node.source instanceof SourceOfAttribute) return yield* storeText(node.source.attribute, text);
  if (node.write === null) return 'EACCES';
  return errnoOf(() => node.write?.(text));
}

/** read(2) of an open attribute or other computed file. */
export function* readNode(node: ComputedNode): Thread<{ readonly text: string } | { readonly errno: string }> {
  const attribute = node.source instanceof SourceOfAttribute ? node.source.attribute : null;
  let text = '';
  const errno = attribute?.readLock
    ? yield* locked(attribute.readLock, () => immediately(() => errnoOf(() => (text = attribute.show?.() ?? ''))))
    : errnoOf(() => (text = node.read?.() ?? ''));
  return errno === null ? { text } : { errno };
}

function* storeText(attribute: Attribute, text: string): Thread<Errno> {
  if (attribute.store === undefined) return 'EACCES';
  if (text.length === 0) return null;
  return yield* attribute.store(text.slice(0, pageSize));
}

/** Text as sysfs_streq sees it: one trailing newline does not count, nor what follows a NUL. */
export function commandText(text: string): string {
  const [first = ''] = text.split('\0');
  return first.endsWith('\n') ? first.slice(0, -1) : first;
}

/** Parses as kstrtoul does: decimal or 0x; null when it is none. */
export function parseNumber(text: string): number | null {
  const trimmed = commandText(text);
  return /^\+?(0x[0-9a-f]+|[0-9]+)$/i.test(trimmed) ? Number(trimmed.replace('+', '')) : null;
}

/** Parses as kstrtobool does; null when it is none. */
export function parseBoolean(text: string): boolean | null {
  if (/^[yY1tT]/.test(text) || /^on/i.test(text)) return true;
  if (/^[nN0fF]/.test(text) || /^off/i.test(text)) return false;
  return null;
}

function errnoOf(run: () => unknown): Errno {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
}

function wouldSleep(doing: string): Error {
  return new Error(
    `${doing} this attribute sleeps in the kernel now: the process would hang. It belongs in the kernel worker.`,
  );
}

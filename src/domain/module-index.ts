// Reads the binary indexes that depmod writes beside its text files (modules.alias.bin and others), for hosts that ship only those.
// The format is kmod's libkmod-index.c, version 2.1: a trie, big endian, each node named by an offset whose upper bits say what it
// has. Nothing throws: a file that is cut or damaged yields what could be read and a sentence.

/** One value of the index. */
export interface IndexRecord {
  readonly key: string;
  readonly value: string;
}

/** What the file holds; `problem` says why it may not be all. */
export interface ModuleIndex {
  readonly records: readonly IndexRecord[];
  readonly problem: string | null;
}

const magic = 0xb007f457;
const majorVersion = 2;
const hasPrefix = 0x80000000;
const hasValues = 0x40000000;
const hasChildren = 0x20000000;
const offsetMask = 0x0fffffff;
/** Module aliases are at most a few hundred characters; a deeper trie is a damaged one. */
const maxKeyLength = 4096;

/** All records whose key begins with `prefix`, in the order of their keys. */
export function parseModuleIndex(bytes: Uint8Array, prefix: string): ModuleIndex {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || view.getUint32(0) !== magic) return { records: [], problem: 'no module index' };
  const version = view.getUint32(4);
  if (version >>> 16 !== majorVersion) {
    return { records: [], problem: `module index of version ${version >>> 16}, not ${majorVersion}` };
  }
  const records: IndexRecord[] = [];
  const seen = new Set<number>();
  const pending: Pending[] = [{ offset: view.getUint32(8), key: '' }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const place = next.offset & offsetMask;
    if (seen.has(place)) return { records, problem: `damaged module index: node ${place} is reached twice` };
    seen.add(place);
    const node = readNode(view, next);
    if (node === null) return { records, problem: `damaged or cut module index at node ${place}` };
    if (node.key.startsWith(prefix)) {
      for (const value of node.values) records.push({ key: node.key, value });
    }
    for (const child of node.children.toReversed()) {
      if (child.key.startsWith(prefix) || prefix.startsWith(child.key)) pending.push(child);
    }
  }
  return { records, problem: null };
}

/** A node to be read, with the key so far. */
interface Pending {
  readonly offset: number;
  readonly key: string;
}

interface IndexNode {
  readonly key: string;
  readonly values: readonly string[];
  readonly children: readonly Pending[];
}

function readNode(view: DataView, { offset, key }: Pending): IndexNode | null {
  const reader = createReader(view, offset & offsetMask);
  const ownKey = (offset & hasPrefix) === 0 ? key : key + reader.text();
  if (ownKey.length > maxKeyLength) return null;
  const children: Pending[] = [];
  if ((offset & hasChildren) !== 0) {
    const first = reader.byte();
    const last = reader.byte();
    for (let code = first; code <= last; code++) {
      const child = reader.word();
      if ((child & offsetMask) !== 0) children.push({ offset: child, key: ownKey + String.fromCharCode(code) });
    }
  }
  const values: string[] = [];
  const count = (offset & hasValues) === 0 ? 0 : reader.word();
  for (let index = 0; index < count && !reader.isPastEnd(); index++) {
    reader.word(); // the priority: the module's place in modules.order
    values.push(reader.text());
  }
  return reader.isPastEnd() ? null : { key: ownKey, values, children };
}

/** Reads on from `at`; beyond the end everything is 0 or empty, and `isPastEnd` tells. */
function createReader(view: DataView, at: number) {
  let pastEnd = false;
  const take = (length: number): number | null => {
    const start = at;
    at += length;
    pastEnd ||= at > view.byteLength;
    return pastEnd ? null : start;
  };
  const byte = (): number => {
    const start = take(1);
    return start === null ? 0 : view.getUint8(start);
  };
  return {
    byte,
    word: (): number => {
      const start = take(4);
      return start === null ? 0 : view.getUint32(start);
    },
    text: (): string => {
      let text = '';
      for (let code = byte(); code !== 0; code = byte()) text += String.fromCharCode(code);
      return text;
    },
    isPastEnd: () => pastEnd,
  };
}

// Writes an index as depmod does, for the reader to be tested on. Checked against kmod 30: its modprobe -R reads these files.

interface TrieNode {
  readonly children: Map<number, TrieNode>;
  readonly values: string[];
}

/** The bytes of an index that maps each key to its values. */
export function encodeModuleIndex(records: readonly (readonly [key: string, value: string])[]): Uint8Array {
  const root: TrieNode = { children: new Map(), values: [] };
  for (const [key, value] of records) {
    let node = root;
    for (const character of key) {
      const code = character.charCodeAt(0);
      const child: TrieNode = node.children.get(code) ?? { children: new Map(), values: [] };
      node.children.set(code, child);
      node = child;
    }
    node.values.push(value);
  }
  const bytes: number[] = [...word(0xb007f457), ...word(0x00020001), ...word(0)];
  const rootOffset = writeNode(bytes, root);
  bytes.splice(8, 4, ...word(rootOffset));
  return Uint8Array.from(bytes);
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function text(value: string): number[] {
  return [...value].map((character) => character.charCodeAt(0)).concat(0);
}

/** Children first; chains without values become a prefix. Returns the offset with its flags. */
function writeNode(bytes: number[], start: TrieNode): number {
  let node = start;
  let prefix = '';
  for (
    let [only] = node.children;
    node.children.size === 1 && node.values.length === 0 && only;
    [only] = node.children
  ) {
    prefix += String.fromCharCode(only[0]);
    node = only[1];
  }
  const codes = [...node.children.keys()].sort((a, b) => a - b);
  const offsets = new Map([...node.children].map(([code, child]) => [code, writeNode(bytes, child)]));
  let offset = bytes.length;
  if (prefix !== '') {
    bytes.push(...text(prefix));
    offset += 0x80000000;
  }
  const [first, last] = [codes[0], codes.at(-1)];
  if (first !== undefined && last !== undefined) {
    bytes.push(first, last);
    for (let code = first; code <= last; code++) bytes.push(...word(offsets.get(code) ?? 0));
    offset += 0x20000000;
  }
  if (node.values.length > 0) {
    bytes.push(...word(node.values.length), ...node.values.flatMap((value) => [...word(1), ...text(value)]));
    offset += 0x40000000;
  }
  return offset;
}

// Inputs near to good ones: a good one of a corpus, changed a few times, as files are by bad disks, bad programs and people with a plan.
import { array, constantFrom, double, integer, nat, oneof, record, uint8Array } from 'fast-check';
import type { Arbitrary } from 'fast-check';

/** One change. `at` and `size` are parts of the whole, from 0 to 1. */
interface Mutation {
  readonly kind: 'flip' | 'cut' | 'double' | 'insert' | 'splice' | 'truncate' | 'swell';
  readonly at: number;
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly other: number;
}

const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));

/** What parsers stumble over. */
const tokens = [
  [
    '\0',
    '\n',
    '\r\n',
    '\t',
    ' ',
    '\x7f',
    '\x80',
    '\xff\xfe',
    '\xed\xa0\x80',
    '\xe2\x80\xa8',
    '\xef\xbb\xbf',
    '\x1b[31m',
  ],
  [
    '[',
    ']',
    '[!',
    '[^]',
    '*',
    '**********',
    '?',
    '\\',
    '"',
    "'",
    '#',
    '&a',
    '*a',
    '<<: ',
    '- ',
    ': ',
    '{',
    '}',
    '!!',
    '|',
    '>',
  ],
  [
    '../',
    '/',
    '..',
    '/etc/passwd',
    '$(reboot)',
    ';',
    '%s',
    '0x',
    '-1',
    '0777',
    '1e999',
    '99999999999999999999',
    'NaN',
    '~',
  ],
  [
    '__proto__',
    'constructor',
    'vfio_',
    'vfio_pci',
    'pci:v',
    'alias ',
    'install ',
    'blacklist ',
    'null',
    'true',
    '---\n',
    '...\n',
  ],
]
  .flat()
  .map(bytesOf);

const mutation: Arbitrary<Mutation> = record({
  kind: oneof(
    { weight: 20, arbitrary: constantFrom<Mutation['kind'][]>('flip', 'cut', 'double', 'insert', 'insert', 'splice') },
    { weight: 1, arbitrary: constantFrom<Mutation['kind'][]>('truncate') },
  ),
  at: double({ min: 0, max: 1, noNaN: true }),
  size: double({ min: 0, max: 1, noNaN: true }),
  bytes: oneof(constantFrom(...tokens), uint8Array({ maxLength: 12 })),
  other: nat(),
});

/** A rare one that makes up to a mebibyte of the input. */
const swelling: Arbitrary<Mutation> = record({
  kind: constantFrom<Mutation['kind'][]>('swell'),
  at: double({ min: 0, max: 1, noNaN: true }),
  size: double({ min: 0, max: 1, noNaN: true }),
  bytes: constantFrom(...tokens),
  other: integer({ min: 1, max: 1024 * 1024 }),
});

/** Mutated members of the corpus; one in about `rarity` is large. */
export function mutatedBytes(corpus: readonly Uint8Array[], rarity = 2_000): Arbitrary<Uint8Array> {
  const changes = oneof(
    { weight: rarity, arbitrary: array(mutation, { maxLength: 6 }) },
    { weight: 1, arbitrary: swelling.map((one) => [one]) },
  );
  return oneof(
    { weight: 50, arbitrary: record({ start: nat(corpus.length - 1), changes }) },
    { weight: 1, arbitrary: uint8Array({ maxLength: 300 }).map((bytes) => ({ bytes })) },
  ).map((input) =>
    'bytes' in input
      ? input.bytes
      : input.changes.reduce((bytes, change) => apply(bytes, change, corpus), corpus[input.start] ?? new Uint8Array()),
  );
}

/** The same as text, with whatever is no UTF-8 replaced, as files are read. */
export function mutatedText(corpus: readonly string[], rarity?: number): Arbitrary<string> {
  const decoder = new TextDecoder();
  return mutatedBytes(
    corpus.map((text) => new Uint8Array(Buffer.from(text))),
    rarity,
  ).map((bytes) => decoder.decode(bytes));
}

function apply(bytes: Uint8Array, change: Mutation, corpus: readonly Uint8Array[]): Uint8Array {
  const from = Math.floor(change.at * bytes.length);
  // Mostly a little, at times all of it.
  const length = Math.ceil(change.size ** 4 * (bytes.length - from));
  const [head, middle, tail] = [
    bytes.subarray(0, from),
    bytes.subarray(from, from + length),
    bytes.subarray(from + length),
  ];
  switch (change.kind) {
    case 'flip': {
      const copy = Uint8Array.from(bytes);
      if (from < copy.length) copy[from] = (copy[from] ?? 0) ^ (1 << (change.other & 7));
      return copy;
    }
    case 'cut':
      return Buffer.concat([head, tail]);
    case 'double':
      return Buffer.concat([head, middle, middle, tail]);
    case 'insert':
      return Buffer.concat([head, change.bytes, middle, tail]);
    case 'truncate':
      return head;
    case 'splice': {
      const other = corpus[change.other % corpus.length] ?? bytes;
      return Buffer.concat([head, other.subarray(Math.floor(change.size * other.length))]);
    }
    case 'swell': {
      const times = Math.floor(change.other / Math.max(1, change.bytes.length));
      return Buffer.concat([head, ...Array.from({ length: times }, () => change.bytes), middle, tail]);
    }
  }
}

// What is kept of each Allocate, and its lines in the file: a checksum, then JSON. A line that does not check is told from one that
// does, so that a torn end costs nothing that was promised.
import { createHash } from 'node:crypto';

/** One function of an allocated device as it was answered. */
interface AllocatedFunction {
  readonly address: string;
  readonly driver: string;
  /** e.g. `vfio3`; null where the kernel has none. */
  readonly cdev: string | null;
}

/** One device of one answer. */
export interface AllocationRecord {
  readonly resource: string;
  readonly id: string;
  /** All ids of that Allocate. */
  readonly ids: readonly string[];
  readonly group: number | null;
  /** e.g. `12`, `noiommu-0`. */
  readonly groupNode: string | null;
  readonly functions: readonly AllocatedFunction[];
  readonly bootId: string | null;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Which device of which resource. */
export interface AllocationKey {
  readonly resource: string;
  readonly id: string;
}

/** One line of the file. */
export type AllocationLine =
  | { readonly op: 'allocated'; readonly records: readonly AllocationRecord[] }
  /** PodResources has shown them. */
  | { readonly op: 'shown'; readonly keys: readonly AllocationKey[] }
  /** PodResources shows them no more. */
  | { readonly op: 'dropped'; readonly keys: readonly AllocationKey[] }
  /** The group belongs to that pod, `namespace/name`. */
  | { readonly op: 'held'; readonly group: number; readonly pod: string }
  | { readonly op: 'freed'; readonly group: number };

const version = 1;

/** The line, with its newline. */
export function formatLine(line: AllocationLine): string {
  const text = JSON.stringify({ v: version, ...line });
  return `${checksum(text)} ${text}\n`;
}

/** What was readable of a file, and what was not. */
export interface ParsedLines {
  readonly lines: readonly AllocationLine[];
  /** One sentence for each line in the middle that does not check. */
  readonly problems: readonly string[];
}

/** Reads a whole file. An end without newline or checksum is the record that was being written when the power went: left out silently. */
export function parseLines(text: string, path: string): ParsedLines {
  const lines: AllocationLine[] = [];
  const problems: string[] = [];
  const rows = text.split('\n');
  rows.forEach((row, index) => {
    if (row === '') return;
    const line = parseLine(row);
    if (line !== null) lines.push(line);
    else if (index < rows.length - 2) problems.push(`${path}:${index + 1}: the checksum does not match; line left out`);
  });
  return { lines, problems };
}

function parseLine(row: string): AllocationLine | null {
  const text = row.slice(row.indexOf(' ') + 1);
  if (row !== `${checksum(text)} ${text}`) return null;
  const { v, ...line } = JSON.parse(text) as AllocationLine & { readonly v: number };
  return v === version ? line : null;
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

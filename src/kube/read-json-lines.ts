// A stream of JSON values, one per line, as a watch sends them. Pieces may be cut anywhere, also within a character.
import { ApiError } from './api-error.ts';

const newline = 0x0a;

/** Yields every line's value; throws `ApiError` `BadAnswer` at one that is no JSON, at an end in mid-line, and at an endless line. */
export async function* readJsonLines(
  what: string,
  pieces: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator {
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const piece of pieces) {
    let rest = piece;
    for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
      const line = join([...waiting, rest.subarray(0, end)]);
      waiting = [];
      waitingBytes = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== '') yield parseLine(what, line);
    }
    if (rest.byteLength === 0) continue;
    waiting.push(rest);
    waitingBytes += rest.byteLength;
    if (waitingBytes > maxLineBytes)
      throw new ApiError('TooLarge', `${what}: a line has more than ${maxLineBytes} bytes`);
  }
  if (waitingBytes > 0) throw new ApiError('BadAnswer', `${what}: the stream ended in the middle of a line`);
}

function join(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join('') + decoder.decode();
}

function parseLine(what: string, line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (error) {
    const shown = line.length > 80 ? `${line.slice(0, 80)}…` : line;
    throw new ApiError('BadAnswer', `${what}: a line is not JSON: ${shown}`, { cause: error });
  }
}

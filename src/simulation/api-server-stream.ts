// A body that is written piece by piece by one side and read by the other, as a socket's.
import { HttpError } from '../kube/ports.ts';

export interface ByteStream {
  readonly body: AsyncIterable<Uint8Array>;
  /** Nothing is written any more: ended, broken or given up by the reader. */
  readonly over: boolean;
  write(text: string): void;
  end(): void;
  /** Breaks it: the reader gets what was written, then the error. */
  break(code: string): void;
  /** The reader gives it up: it gets nothing more but the error. */
  abort(): void;
}

/** `onOver` is called once. `pieceBytes`: longest piece, so that readers meet cuts within lines and characters. */
export function createByteStream(onOver: () => void, pieceBytes: number): ByteStream {
  const encoder = new TextEncoder();
  let pieces: Uint8Array[] = [];
  let error: HttpError | null = null;
  let over = false;
  let wake = Promise.withResolvers<void>();

  const finish = (why: HttpError | null): void => {
    if (over) return;
    over = true;
    error = why;
    wake.resolve();
    onOver();
  };
  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = pieces.shift();
      if (piece !== undefined) yield piece;
      else if (error !== null) throw error;
      else if (over) return;
      else {
        await wake.promise;
        wake = Promise.withResolvers();
      }
    }
  }
  return {
    body: read(),
    get over() {
      return over;
    },
    write(text) {
      if (over) return;
      const bytes = encoder.encode(text);
      for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
      wake.resolve();
    },
    end: () => finish(null),
    break: (code) => finish(new HttpError(code, `simulated: ${code}`)),
    abort() {
      pieces = [];
      finish(new HttpError('ECANCELED', 'simulated: aborted'));
    },
  };
}

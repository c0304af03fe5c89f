// Disks of the simulated machine as those see them who look for signatures: what the spec says is on them, and zeros behind it.
import type { DiskReader } from '../host/proof/ports.ts';
import { FileError } from '../runtime/ports.ts';
import type { MemoryFiles } from './memory-files.ts';

/** Builds the port on a machine's tree. */
export function createSimulatedDisks(files: MemoryFiles): DiskReader {
  return {
    async read(node, ranges) {
      try {
        const pieces = ranges.map(({ offset, length }) => {
          const piece = new Uint8Array(length);
          piece.set(files.readBytes(node, offset, length));
          return piece;
        });
        return { pieces };
      } catch (error) {
        if (error instanceof FileError) return { failure: error.code };
        throw error;
      }
    },
  };
}

import { describe, expect, it } from 'vitest';
import { writeDurably } from '../../../src/runtime/durable-file.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';

const path = '/state/policies';

describe('writeDurably', () => {
  it('makes and replaces a file', async () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    await writeDurably(files, path, 'one\n');
    await writeDurably(files, path, 'two\n');
    expect(files.readText(path)).toBe('two\n');
    expect(files.list('/state')).toEqual(['policies']);
  });

  it('survives a power cut right after it resolved', async () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    await writeDurably(files, path, 'one\n');
    files.powerCut();
    expect(files.readText(path)).toBe('one\n');
  });

  it('leaves the old text or the new one when any of its operations fails and the power goes', async () => {
    const operations = await countOperations();
    expect(operations).toBeGreaterThanOrEqual(5);
    for (let failing = 1; failing <= operations; failing += 1) {
      const files = createMemoryFiles({ entries: { [path]: { file: 'old\n' } } });
      let count = 0;
      files.setFault(() => (++count === failing ? 'EIO' : null));
      const outcome = await writeDurably(files, path, 'new\n').catch((error: unknown) => error);
      files.setFault(null);
      expect(outcome).toBeInstanceOf(FileError);
      files.powerCut();
      expect(['old\n', 'new\n']).toContain(files.readText(path));
      await writeDurably(files, path, 'next\n');
      expect(files.readText(path)).toBe('next\n');
    }
  });

  it('writes into the root directory', async () => {
    const files = createMemoryFiles();
    await writeDurably(files, '/file', 'text');
    expect(files.readText('/file')).toBe('text');
  });
});

async function countOperations(): Promise<number> {
  const files = createMemoryFiles({ entries: { [path]: { file: 'old\n' } } });
  let count = 0;
  files.setFault(() => {
    count += 1;
    return null;
  });
  await writeDurably(files, path, 'new\n');
  return count;
}

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findConflicts } from '../../../src/domain/find-conflicts.ts';
import { parsePolicyFile, separateDuplicates } from '../../../src/kube/policy-documents.ts';

const directory = new URL('../../../examples/', import.meta.url);
const names = readdirSync(directory)
  .filter((name) => name.endsWith('.yaml'))
  .toSorted();
const read = (name: string) => parsePolicyFile(readFileSync(new URL(name, directory), 'utf8'), name);

describe('examples', () => {
  it('are the ones we promise', () => {
    expect(names).toEqual([
      'connectx-vfs.yaml',
      'gpu-with-audio.yaml',
      'nvme.yaml',
      'qat.yaml',
      'rack-with-exclusions.yaml',
    ]);
  });

  it.each(names)('%s is good', (name) => {
    const { documents, problems } = read(name);
    expect(problems).toEqual([]);
    expect(documents.length).toBeGreaterThan(0);
  });

  it.each(names)('%s is good too with what it offers in comments', (name) => {
    const text = readFileSync(new URL(name, directory), 'utf8').replace(/^( *)# (allow: .*)$/gm, '$1$2');
    expect(parsePolicyFile(text, name).problems).toEqual([]);
  });

  it('can all be applied together', () => {
    const documents = names.flatMap((name) => read(name).documents);
    expect(separateDuplicates(documents).duplicates).toEqual([]);
    expect(findConflicts(documents.map(({ policy }) => policy))).toEqual([]);
  });
});

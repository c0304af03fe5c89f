import { describe, expect, it } from 'vitest';
import { openNodeStateFile } from '../../../src/agent/node-state-file.ts';
import type { VfioNodeState } from '../../../src/api/generated/types.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';

const path = '/state/node-state.json';

function aState(agentVersion: string): VfioNodeState {
  return {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioNodeState',
    metadata: { name: 'node-1' },
    status: { agentVersion },
  };
}

describe('openNodeStateFile', () => {
  it('writes changes and nothing else', async () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    const file = openNodeStateFile(files, path);
    expect(file.before).toBeNull();
    expect(await file.write(aState('1'))).toBe(true);
    const { inode } = files.stat(path);
    expect(await file.write(aState('1'))).toBe(false);
    expect(files.stat(path).inode).toBe(inode);
    expect(await file.write(aState('2'))).toBe(true);
    expect(JSON.parse(files.readText(path))).toEqual(aState('2'));
    expect(file.before).toEqual(aState('2'));
  });

  it('goes on where an earlier agent stopped, also after a power cut', async () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    await openNodeStateFile(files, path).write(aState('1'));
    files.powerCut();
    const file = openNodeStateFile(files, path);
    expect(file.before).toEqual(aState('1'));
    expect(await file.write(aState('1'))).toBe(false);
  });

  it.each(['', '{', 'null', '{}', '[]'])('replaces what is no node state: %j', async (text) => {
    const files = createMemoryFiles({ entries: { [path]: { file: text } } });
    const file = openNodeStateFile(files, path);
    expect(file.before).toBeNull();
    expect(await file.write(aState('1'))).toBe(true);
  });

  it('tries again after a failed write', async () => {
    const files = createMemoryFiles({ entries: { '/state': { directory: {} } } });
    const file = openNodeStateFile(files, path);
    files.setFault((operation) => (operation === 'rename' ? 'ENOSPC' : null));
    await expect(file.write(aState('1'))).rejects.toMatchObject({ code: 'ENOSPC' });
    files.setFault(null);
    expect(file.before).toBeNull();
    expect(await file.write(aState('1'))).toBe(true);
  });
});

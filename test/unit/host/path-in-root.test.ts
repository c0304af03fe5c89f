import { describe, expect, it } from 'vitest';
import { resolveInRoot } from '../../../src/host/path-in-root.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';

describe('resolveInRoot', () => {
  const files = createMemoryFiles({
    entries: {
      '/host/lib': { link: 'usr/lib' },
      '/host/abs': { link: '/usr/lib' },
      '/host/up': { link: '../../../usr/./lib' },
      '/host/chain': { link: '/abs/modules' },
      '/host/loop': { link: '/loop' },
      '/host/usr/lib/modules/file': 'x',
    },
  });

  it.each([
    ['/host/lib/modules/file', '/host/usr/lib/modules/file'],
    ['/host/abs/modules/file', '/host/usr/lib/modules/file'],
    ['/host/up/modules', '/host/usr/lib/modules'],
    ['/host/chain/file', '/host/usr/lib/modules/file'],
    ['/host/absent/file', '/host/absent/file'],
    ['/host/loop/x', '/host/loop/x'],
    ['/elsewhere/x', '/elsewhere/x'],
  ])('%s is %s', (path, expected) => {
    expect(resolveInRoot(files, '/host', path)).toBe(expected);
  });

  it('leaves the paths of the machine itself to its kernel', () => {
    expect(resolveInRoot(files, '', '/host/lib')).toBe('/host/lib');
  });
});

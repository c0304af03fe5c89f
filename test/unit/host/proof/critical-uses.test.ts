import { describe, expect, it } from 'vitest';
import type { MemoryFiles } from '../../../../src/simulation/memory-files.ts';
import { createProofHost } from '../../../support/proof-host.ts';
import { subject } from '../../../support/critical-use.ts';
import { criticalUses } from '../../../support/critical-uses.ts';

describe.each(criticalUses.map((use) => [use.name, use] as const))('%s', (_name, use) => {
  const address = use.address ?? subject;

  it(`is refused as ${use.code}, with its proof`, async () => {
    const host = createProofHost();
    use.make(host);
    const { findings, unread } = await host.prove();
    const own = findings.filter((finding) => finding.address === address);
    expect(own.map((finding) => finding.code)).toContain(use.code);
    expect(own.find((finding) => finding.code === use.code)?.proof).toMatch(use.proof);
    expect(own.map((finding) => finding.code)).not.toContain('Unproven');
    expect(unread).toEqual([]);
  });

  it.each(use.sources.map((source) => [source]))('is Unproven when %s may not be read', async (source) => {
    const host = createProofHost();
    use.make(host);
    forbid(host.files, source);
    // Where the link of PID 1's namespace may not be read, ours would do.
    if (source === '/proc/1/ns/pid') host.files.put('/proc/self/ns/pid', { link: 'pid:[4026532456]' });
    const { findings, unread } = await host.prove();
    const codes = findings.filter((finding) => finding.address === address).map((finding) => finding.code);
    expect(codes).toContain('Unproven');
    expect(unread.length).toBeGreaterThan(0);
  });

  it.each(use.sources.map((source) => [source]))('is still refused when %s is gone', async (source) => {
    const host = createProofHost();
    use.make(host);
    host.files.drop(source);
    if (source === '/proc/1/ns/pid') host.files.drop('/proc/self/ns/pid');
    const { findings } = await host.prove();
    expect(findings.filter((finding) => finding.address === address)).not.toEqual([]);
  });
});

// Whatever name it is reached by: the proofs go through the links of /sys/class and /sys/bus.
function forbid(files: MemoryFiles, source: string): void {
  const names = ['/sys/class/block', '/sys/class/net', '/sys/bus/pci/devices'].flatMap((directory) =>
    files.list(directory).map((name) => `${directory}/${name}`),
  );
  const links = names.map((name) => ({ name, real: files.exists(name) ? files.realPath(name) : name }));
  const plain = (path: string): string => {
    const link = links.find(({ name }) => path.startsWith(`${name}/`));
    return link === undefined ? path : link.real + path.slice(link.name.length);
  };
  const real = plain(source);
  files.setFault((_operation, path) => (isAt(path, source) || isAt(plain(path), real) ? 'EACCES' : null));
}

function isAt(path: string, source: string): boolean {
  return path === source || path.startsWith(`${source}/`);
}

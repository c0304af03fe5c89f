// Whatever stands in a source of proof, nothing throws, and a device that it protects is never left without a refusal.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { subject } from '../support/critical-use.ts';
import { criticalUses } from '../support/critical-uses.ts';
import { createProofHost } from '../support/proof-host.ts';

const targets = criticalUses.flatMap((use) =>
  use.sources.filter((source) => isFile(use, source)).map((source) => ({ use, source })),
);

function isFile(use: (typeof criticalUses)[number], source: string): boolean {
  const host = createProofHost();
  use.make(host);
  return host.files.exists(source) && host.files.stat(source).kind === 'file';
}

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.string({ unit: 'binary', maxLength: 200 }).map((text) => new TextEncoder().encode(text)),
  fc.constantFrom('', '\n', ' ', '0', '\0', '\n\n\n').map((text) => new TextEncoder().encode(text)),
);

describe('sources of proof', () => {
  it('cover every kind of table', () => {
    expect(new Set(targets.map(({ source }) => source)).size).toBeGreaterThan(8);
  });

  it('refuse with arbitrary bytes in any of them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...targets), anyBytes, async ({ use, source }, bytes) => {
        // A lone 0 is what boot_vga says of a display that is none.
        fc.pre(new TextDecoder().decode(bytes).trim() !== '0');
        const host = createProofHost();
        use.make(host);
        host.files.put(source, { file: bytes });
        const { findings } = await host.prove();
        expect(findings.filter(({ address }) => address === (use.address ?? subject))).not.toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('refuse with a line of garbage, or a cut, in the middle of them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...targets),
        fc.string(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (target, junk, where) => {
          const { use, source } = target;
          const host = createProofHost();
          use.make(host);
          const lines = host.files.readText(source).split('\n');
          lines[Math.floor(where * (lines.length - 1))] = `#${junk}`;
          host.files.put(source, lines.join('\n'));
          const { findings } = await host.prove();
          expect(findings.filter(({ address }) => address === (use.address ?? subject))).not.toEqual([]);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('never throw with arbitrary bytes in any file of the host', async () => {
    const uses = [...criticalUses];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...uses), fc.nat(), anyBytes, async (use, pick, bytes) => {
        const host = createProofHost();
        use.make(host);
        const files = [...walk(host.files.list, host.files, '/')];
        host.files.put(files[pick % files.length] ?? '/x', { file: bytes });
        const { findings } = await host.prove();
        for (const finding of findings) expect(finding.proof).not.toBe('');
      }),
      { numRuns: 500 },
    );
  });
});

function* walk(
  list: (path: string) => readonly string[],
  files: ReturnType<typeof createProofHost>['files'],
  path: string,
): Generator<string> {
  for (const name of list(path)) {
    const child = `${path === '/' ? '' : path}/${name}`;
    const { kind } = files.linkStat(child);
    if (kind === 'directory') yield* walk(list, files, child);
    else if (kind === 'file') yield child;
  }
}

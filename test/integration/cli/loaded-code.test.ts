// What each program loads when it starts, and what only when it is needed: the CEL library and the YAML reader serve policy files alone.
import { build } from 'esbuild';
import { beforeAll, expect, test } from 'vitest';

interface Chunk {
  readonly entryPoint?: string | undefined;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly imports: readonly { readonly path: string; readonly kind: string }[];
}
let chunks: Readonly<Record<string, Chunk>>;

beforeAll(async () => {
  const { metafile } = await build({
    entryPoints: ['src/main.ts'],
    outdir: 'unwritten',
    write: false,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    metafile: true,
    logLevel: 'silent',
  });
  chunks = metafile.outputs;
}, 60_000);

/** Source files of `library` that are loaded with the chunk whose entry is `entry`, without what it imports on demand. */
function loadsWith(entry: string, library: string): boolean {
  const start = Object.entries(chunks).find(([, { entryPoint }]) => entryPoint === entry)?.[0];
  if (start === undefined) throw new Error(`no chunk begins with ${entry}`);
  const seen = new Set([start]);
  for (const path of seen) {
    const chunk = chunks[path];
    if (Object.keys(chunk?.inputs ?? {}).some((input) => input.includes(`node_modules/${library}/`))) return true;
    for (const { path: next, kind } of chunk?.imports ?? []) if (kind === 'import-statement') seen.add(next);
  }
  return false;
}

test.each(['@marcbachmann/cel-js', 'yaml'])('the agent starts without %s', (library) => {
  expect(loadsWith('src/agent/main.ts', library)).toBe(false);
  expect(loadsWith('src/agent/policy-directory.ts', library)).toBe(true);
});

test('the command line starts without the CEL library', () => {
  expect(loadsWith('src/cli/main.ts', '@marcbachmann/cel-js')).toBe(false);
});

test('nothing of the agent but policies from files needs the CEL library', () => {
  const needing = Object.values(chunks)
    .flatMap(({ entryPoint }) => (entryPoint === undefined ? [] : [entryPoint]))
    .filter((entry) => entry.startsWith('src/agent/') && loadsWith(entry, '@marcbachmann/cel-js'));
  expect(needing).toEqual(['src/agent/policy-directory.ts']);
});

test.each(['src/agent/main.ts', 'src/controller/main.ts', 'src/cli/main.ts'])(
  '%s loads the Kubernetes client library for a kubeconfig alone',
  (entry) => {
    expect(loadsWith(entry, '@kubernetes/client-node')).toBe(false);
    expect(loadsWith('src/kube/cluster-client.ts', '@kubernetes/client-node')).toBe(false);
    const holders = Object.values(chunks).filter(({ inputs }) =>
      Object.keys(inputs).some((input) => input.includes('node_modules/@kubernetes/client-node/')),
    );
    expect(holders.length).toBeGreaterThan(0);
  },
);

// The programs of a Kubernetes cluster, built from the Go modules in `programs/`, whose go.mod and go.sum pin every source.
// Each is one entry of the lab's cache, keyed by its version, its module's sums and how it is built; a build that is cut goes on where it
// was, since Go keeps what it compiled.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheEntry } from '../lab/cache.ts';
import { LabError, say } from '../lab/lab-error.ts';

/** Every program, in the order in which a cold machine builds them: what most tests wait for first. */
export const PROGRAMS = [
  'etcd',
  'kube-apiserver',
  'kubectl',
  'helm',
  'kube-controller-manager',
  'kubelet',
  'kube-scheduler',
  'containerd',
  'containerd-shim-runc-v2',
  'ctr',
] as const;

export type ProgramName = (typeof PROGRAMS)[number];

interface Source {
  /** Folder below `programs/`. */
  readonly module: string;
  /** Module whose version in go.mod is the program's. */
  readonly requires: string;
  readonly package: string;
  /** -X assignments; a program without its version calls itself v0.0.0, which clients refuse. */
  readonly stamps: (version: string) => readonly string[];
}

const kubernetes = (name: string): Source => ({
  module: 'kubernetes',
  requires: 'k8s.io/kubernetes',
  package: `k8s.io/kubernetes/cmd/${name}`,
  stamps: (version) => {
    const [major = '', minor = ''] = version.slice(1).split('.');
    const variable = 'k8s.io/component-base/version.git';
    return [`${variable}Version=${version}`, `${variable}Major=${major}`, `${variable}Minor=${minor}`];
  },
});

const containerd = (name: string): Source => ({
  module: 'containerd',
  requires: 'github.com/containerd/containerd/v2',
  package: `github.com/containerd/containerd/v2/cmd/${name}`,
  stamps: (version) => [`github.com/containerd/containerd/v2/version.Version=${version.slice(1)}`],
});

const SOURCES: Readonly<Record<ProgramName, Source>> = {
  etcd: {
    module: 'etcd',
    requires: 'go.etcd.io/etcd/server/v3',
    package: 'go.etcd.io/etcd/server/v3',
    stamps: () => [],
  },
  'kube-apiserver': kubernetes('kube-apiserver'),
  kubectl: kubernetes('kubectl'),
  helm: {
    module: 'helm',
    requires: 'helm.sh/helm/v4',
    package: 'helm.sh/helm/v4/cmd/helm',
    stamps: (version) => [`helm.sh/helm/v4/internal/version.version=${version}`],
  },
  'kube-controller-manager': kubernetes('kube-controller-manager'),
  kubelet: kubernetes('kubelet'),
  'kube-scheduler': kubernetes('kube-scheduler'),
  containerd: containerd('containerd'),
  'containerd-shim-runc-v2': containerd('containerd-shim-runc-v2'),
  ctr: containerd('ctr'),
};

/** Absolute path of `name`, built first when the cache lacks it (minutes). Throws LabError with what to install or mend. */
export async function programPath(name: ProgramName): Promise<string> {
  const source = SOURCES[name];
  const directory = fileURLToPath(new URL(`programs/${source.module}/`, import.meta.url));
  const goMod = readFileSync(join(directory, 'go.mod'), 'utf8');
  const version = goMod.match(new RegExp(`^(?:require|\\t)\\s*${source.requires} (v\\S+)`, 'm'))?.[1];
  if (version === undefined) throw new LabError(`${directory}go.mod does not require ${source.requires}.`);
  const flags = ['-trimpath', '-ldflags', ['-s -w', ...source.stamps(version).map((stamp) => `-X ${stamp}`)].join(' ')];
  const hash = createHash('sha256')
    .update(goMod)
    .update(readFileSync(join(directory, 'go.sum')))
    .update(flags.join('\0'));
  const key = `go/${name}-${version}-${hash.digest('hex').slice(0, 12)}`;
  const entry = await cacheEntry(key, async (staging) => {
    await goBuild(`${name} ${version}`, directory, [...flags, '-o', join(staging, name), source.package]);
    return { guard: [name], facts: { version } };
  });
  return join(entry.directory, name);
}

/** Paths of `names`, in one object; missing ones are built one after the other, since each build takes every core. */
export async function programPaths<Name extends ProgramName>(
  names: readonly Name[],
): Promise<Readonly<Record<Name, string>>> {
  const paths: [Name, string][] = [];
  for (const name of names) paths.push([name, await programPath(name)]);
  return Object.fromEntries(paths) as Record<Name, string>;
}

/** Go from the PATH, or from where its own installer puts it. */
function goCommand(): string {
  const places = (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, 'go'));
  const found = [...places, '/usr/local/go/bin/go'].find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new LabError(
    'Go is neither in the PATH nor in /usr/local/go, and the programs of a cluster are built with it.',
    {
      hint: 'install Go 1.26.6 or newer (https://go.dev/dl), or run the tests that need no cluster by naming their files',
    },
  );
}

/** Runs `go build -v` in `directory`, telling how far it is every 20 s. */
async function goBuild(what: string, directory: string, parameters: readonly string[]): Promise<void> {
  const started = Date.now();
  const elapsed = (): string => `${Math.round((Date.now() - started) / 1000)} s`;
  say(`building ${what} with Go; what is compiled already is kept`);
  const child = spawn(goCommand(), ['build', '-v', ...parameters], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
    // The toolchain that is installed, or a clear refusal; never another one fetched on the way. No C compiler needed.
    env: { ...process.env, CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOWORK: 'off', GOFLAGS: '' },
  });
  const stop = (): void => void child.kill('SIGTERM');
  process.once('exit', stop);
  let [packages, modules] = [0, 0];
  const complaints: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n')) {
      if (line.startsWith('go: downloading ')) modules += 1;
      else if (/^[\w.~-]+(\/[\w.~+-]+)*$/.test(line)) packages += 1;
      else if (line.trim() !== '') complaints.push(line);
    }
  });
  const teller = setInterval(
    () => say(`building ${what}: ${modules} modules fetched, ${packages} packages compiled in ${elapsed()}`),
    20_000,
  );
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code !== 0) {
      throw new LabError(`go build of ${what} ended with ${code ?? 'a signal'}.`, {
        detail: complaints.join('\n'),
        hint: 'it needs Go 1.26.6 or newer, the Go module proxy (GOPROXY), 6 GB of disk; started again, it goes on where it was',
      });
    }
    say(`built ${what} in ${elapsed()}`);
  } finally {
    clearInterval(teller);
    process.off('exit', stop);
  }
}

// What a connection to the API server costs a process that lists and watches the policies, ours beside client-node's: every candidate is
// bundled as the agent is, runs with the agent's flags against one HTTPS server on loopback, and is looked at after the idle time.
// Run: node bench/api-connection.ts [--idle SECONDS]
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { createAuthority } from '../test/support/certificates.ts';

const { values } = parseArgs({ options: { idle: { type: 'string', default: '20' } } });
const idle = Number(values.idle);
const flags = ['--max-semi-space-size=1', '--optimize-for-size'];
const policyCount = 5;
const bench = fileURLToPath(new URL('.', import.meta.url));

/** What the server saw of one candidate, told apart by its token. */
interface Traffic {
  requests: number;
  readonly sockets: Set<unknown>;
}

interface Candidate {
  readonly name: string;
  readonly process: ChildProcess;
  readonly bundle: string;
  readonly token: string;
}

const root = mkdtempSync(join(tmpdir(), 'api-connection-'));
const traffic = new Map<string, Traffic>();
const authority = createAuthority('bench');
const server = await listen();
const candidates: Candidate[] = [];
try {
  const empty = join(root, 'empty.ts');
  writeFileSync(empty, "setInterval(() => undefined, 60_000); process.stdout.write('0\\n');");
  const bare = await bundle(empty);
  const own = await bundle(join(bench, 'api-client-own.ts'));
  const clientNode = await bundle(join(bench, 'api-client-node.ts'));
  symlinkSync(join(bench, '../node_modules'), join(root, 'node_modules'));
  const unbundled = await bundle(join(bench, 'api-client-node.ts'), 'external');
  const { port } = server.address() as AddressInfo;
  await start('node, bare', bare, () => []);
  await start('ours, in a pod', own, (token) => [String(port), writeServiceAccount(token)]);
  await start('ours, with a kubeconfig', own, (token) => [writeKubeconfig(token, port)]);
  await start('client-node, configuration alone', clientNode, (token) => [writeKubeconfig(token, port)]);
  await start('client-node, watching', clientNode, (token) => [writeKubeconfig(token, port), 'watch']);
  await start('client-node, watching, unbundled', unbundled, (token) => [writeKubeconfig(token, port), 'watch']);
  await sleep(idle * 1000);
  report();
} finally {
  for (const { process: child } of candidates) child.kill('SIGKILL');
  server.closeAllConnections();
  server.close();
  rmSync(root, { recursive: true });
}

async function listen(): Promise<Server> {
  const { certificate, key } = authority.issue({ subject: 'server', names: ['127.0.0.1'] });
  const listening = createServer({ cert: certificate, key }, answer);
  await new Promise<void>((resolve) => {
    listening.listen(0, '127.0.0.1', resolve);
  });
  return listening;
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
  const seen = traffic.get(token) ?? { requests: 0, sockets: new Set() };
  traffic.set(token, seen);
  seen.requests += 1;
  seen.sockets.add(request.socket);
  response.setHeader('content-type', 'application/json');
  if (/[?&]watch=/.test(request.url ?? '')) {
    response.flushHeaders();
    return;
  }
  const items = Array.from({ length: policyCount }, (_, index) => ({
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicy',
    metadata: { name: `policy-${index}`, uid: `uid-${index}`, resourceVersion: String(100 + index) },
    spec: { devices: [{ vendor: '10de' }], resource: { name: 'vfio-operator.dev/gpu' } },
  }));
  const list = {
    apiVersion: 'vfio-operator.dev/v1alpha1',
    kind: 'VfioPolicyList',
    metadata: { resourceVersion: '200' },
  };
  response.end(JSON.stringify({ ...list, items }));
}

async function bundle(entry: string, packages: 'bundle' | 'external' = 'bundle'): Promise<string> {
  const outfile = join(root, `${entry.split('/').at(-1)}.${packages}.mjs`);
  const require = `import { createRequire as make } from 'node:module'; const require = make(import.meta.url);`;
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    packages,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node22',
    logLevel: 'error',
    banner: { js: require },
  });
  return outfile;
}

function writeServiceAccount(token: string): string {
  const directory = join(root, token);
  mkdirSync(directory);
  writeFileSync(join(directory, 'token'), token);
  writeFileSync(join(directory, 'ca.crt'), authority.certificate);
  return directory;
}

function writeKubeconfig(token: string, port: number): string {
  const data = Buffer.from(authority.certificate).toString('base64');
  const file = join(root, `${token}.kubeconfig`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'bench',
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    clusters: [{ name: 'bench', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': data } }],
    users: [{ name: 'bench', user: { token } }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

/** Starts it and waits for its first line. */
async function start(name: string, file: string, toArguments: (token: string) => readonly string[]): Promise<void> {
  const token = `candidate-${candidates.length}`;
  const child = spawn(process.execPath, [...flags, file, ...toArguments(token)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  candidates.push({ name, process: child, bundle: file, token });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  child.removeAllListeners('exit');
}

function report(): void {
  console.log(`${policyCount} policies, after ${idle} s idle; MiB\n`);
  const head = ['resident', 'anonymous', 'over bare', 'bundle', 'requests', 'connections'];
  console.log(`${'process'.padEnd(36)}${head.map((one) => one.padStart(12)).join('')}`);
  const bare = residentOf(candidates[0]?.process.pid ?? 0).anonymous;
  for (const { name, process: child, bundle: file, token } of candidates) {
    const { resident, anonymous } = residentOf(child.pid ?? 0);
    const { requests = 0, sockets } = traffic.get(token) ?? {};
    const cells = [resident, anonymous, anonymous - bare, statSync(file).size / 1024 / 1024].map((one) =>
      one.toFixed(1),
    );
    const all = [...cells, String(requests), String(sockets?.size ?? 0)];
    console.log(`${name.padEnd(36)}${all.map((one) => one.padStart(12)).join('')}`);
  }
  console.log("\n'over bare' is of anonymous memory: file pages are shared by all processes of the same Node.");
}

function residentOf(pid: number): { readonly resident: number; readonly anonymous: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mebibytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { resident: mebibytes('VmRSS'), anonymous: mebibytes('RssAnon') };
}

// Every figure of docs/performance.md, one after the other: `npm run bench [-- NAME…]`. `--idle SECONDS` is how long the agent idles
// before its memory is read: 20 here, 600 for the published figure. Each bench is a process of its own, so that none warms another up.
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const benches: Readonly<Record<string, string>> = {
  'alias-choice': 'choosing the VFIO module of 1,000 devices',
  scan: 'one scan of the buses',
  plan: 'a pass with nothing to do',
  proofs: 'proving what the node uses, with 500 processes more (JSON)',
  allocation: 'Allocate and GetPreferredAllocation, a restarted kubelet, memory with many devices',
  'api-connection': 'what watching the policies costs with our own connection, and with client-node',
  'node-load': 'the agent on a simulated node with thousands of functions, and a storm of policy changes',
  'agent-memory': 'the agent idle with 64 devices, and its time to be registered',
  'agent-in-cluster': 'the agent idle with 64 devices, on a real API server and with policies from files',
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { idle: { type: 'string', default: '20' } },
});
const unknown = positionals.filter((name) => benches[name] === undefined);
if (unknown.length > 0) {
  console.error(`no bench '${unknown.join("', '")}'; known: ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
const load = loadavg()[0]?.toFixed(2);
console.log(`Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? '?'}, load ${load}`);
console.log(
  'Times of a machine that does other things are worth little; compare ratios, and the least of several runs.',
);

let failed = 0;
for (const [name, what] of Object.entries(benches)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  console.log(`\n== ${name}: ${what}`);
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const flags = name.startsWith('agent-') || name === 'api-connection' ? ['--idle', values.idle] : [];
  if (spawnSync(process.execPath, [file, ...flags], { stdio: 'inherit' }).status !== 0) {
    console.error(`${name} failed`);
    failed += 1;
  }
}
console.log('\nUnplug to kubelet told, and whatever needs a kernel: npm run test:e2e, on the lab.');
process.exitCode = failed === 0 ? 0 : 1;

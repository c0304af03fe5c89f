// What a pass costs when there is nothing to do: scan, look (scan, guarded reads through the real worker, proofs over this machine's
// processes, alias sources, modules) and plan(), for 64 and 1,000 functions that are ours and where they belong. Fails if anything is
// written or planned. Run as root: node bench/plan.ts
import { fileURLToPath } from 'node:url';
import type { LedgerEntry } from '../src/domain/ledger.ts';
import { plan } from '../src/domain/plan.ts';
import { hostPaths } from '../src/host/host-paths.ts';
import { createKernelWorker } from '../src/host/kernel-worker-adapter.ts';
import { createHostObserver } from '../src/host/observe-host.ts';
import type { KernelWorker } from '../src/host/ports.ts';
import { createScanner } from '../src/host/scan-inventory.ts';
import { createClock } from '../src/runtime/clock-adapter.ts';
import { createFiles } from '../src/runtime/files-adapter.ts';
import type { Files } from '../src/runtime/ports.ts';
import { aPolicy, aResource } from '../test/support/builders.ts';
import { buildVfioHost, vfioDriver, type VfioHost } from './vfio-host.ts';

const runs = 25;
const warmUp = 3;
const policy = aPolicy({
  name: 'bench',
  devices: [{ vendor: '8086', class: '02' }],
  resource: aResource('vfio-operator.dev/bench'),
});

// The clock's timers do not keep a process alive that has nothing else to do.
const keepAlive = setInterval(() => {}, 1000);
console.log('functions   scan ms (min/median)   look ms (min/median)   plan() ms (min/median)   writes   transactions');
for (const count of [64, 1000]) {
  const host = buildVfioHost(count);
  try {
    console.log(await measure(host, count));
    if (count === 64) console.log(`            (${host.procNote})`);
  } finally {
    host.remove();
  }
}
if (process.getuid?.() !== 0)
  console.log('not root: what other processes have open could not be read, which is less work');
clearInterval(keepAlive);

async function measure(host: VfioHost, count: number): Promise<string> {
  const counter = { writes: 0 };
  const files = countWrites(createFiles(), counter);
  const paths = hostPaths(host.path);
  const clock = createClock();
  const pool = createKernelWorker({ entry: fileURLToPath(new URL('../src/host/kernel-worker.ts', import.meta.url)) });
  const parts = { files, paths, clock };
  const scanner = createScanner(parts);
  const observer = createHostObserver({
    ...parts,
    worker: countLeases(pool, counter),
    mayLoad: false,
    readDeadline: 5_000,
    proofs: {},
  });
  const bootId = files.readText(paths.bootId).trim();
  const ledger = { entries: new Map(host.addresses.map((address, index) => [address, ours(address, index, bootId)])) };
  const scans: number[] = [];
  const looks: number[] = [];
  const plans: number[] = [];
  let transactions = 0;
  for (let run = 0; run < runs + warmUp; run += 1) {
    const start = performance.now();
    await scanner.scan({ wantSerialNumbers: false });
    const scanned = performance.now();
    const seen = await observer.observe({ policies: [policy], ledger });
    const looked = performance.now();
    const planned = plan({
      node: { name: 'bench', labels: {} },
      ...seen,
      policies: { complete: true, policies: [policy], why: null },
      inUse: { holders: seen.holders, unreadable: null },
      ledger,
      failures: new Map(),
    });
    const end = performance.now();
    const bound = planned.decisions.filter(({ kind }) => kind === 'Bound').length;
    if (bound !== count)
      throw new Error(
        `${bound} of ${count} are Bound: ${JSON.stringify(planned.decisions.find(({ kind }) => kind !== 'Bound'))}`,
      );
    transactions += planned.transactions.length;
    if (run < warmUp) continue;
    scans.push(scanned - start);
    looks.push(looked - scanned);
    plans.push(end - looked);
  }
  pool.close();
  if (counter.writes > 0 || transactions > 0)
    throw new Error(`${counter.writes} writes and ${transactions} transactions with nothing to do`);
  const cells = [
    `${count}`.padStart(9),
    show(scans, 20),
    show(looks, 20),
    show(plans, 22),
    '0'.padStart(6),
    '0'.padStart(12),
  ];
  return cells.join('   ');
}

function ours(address: string, index: number, bootId: string): LedgerEntry {
  const hex = (text: string): string => text.toUpperCase().padStart(8, '0');
  return {
    address,
    bus: 'pci',
    modalias: `pci:v${hex('8086')}d${hex('10d3')}sv${hex('8086')}sd${hex('0')}bc02sc00i00`,
    diskSerial: null,
    bootId,
    originalDriver: 'e1000e',
    originalOverride: null,
    driver: vfioDriver,
    module: 'vfio_pci',
    role: 'Selected',
    policy: policy.name,
    policyUid: null,
    onDelete: 'Restore',
    resource: policy.resource?.name ?? null,
    deviceId: address,
    adopted: false,
    retained: false,
    virtualFunctions: null,
    state: 'Taken',
    detail: `function ${index}`,
  };
}

/** The files, with every call counted that changes anything. */
function countWrites(files: Files, counter: { writes: number }): Files {
  const counted =
    <Parameters extends unknown[], Result>(call: (...parameters: Parameters) => Result) =>
    (...parameters: Parameters): Result => {
      counter.writes += 1;
      return call(...parameters);
    };
  return {
    ...files,
    makeDirectory: counted(files.makeDirectory),
    openLog: counted(files.openLog),
    createExclusive: counted(files.createExclusive),
    rename: counted(files.rename),
    remove: counted(files.remove),
  };
}

/** The worker, with every lease counted: each is for one kernel write. */
function countLeases(worker: KernelWorker, counter: { writes: number }): KernelWorker {
  return {
    lease: () => {
      counter.writes += 1;
      return worker.lease();
    },
    read: (paths, deadline) => worker.read(paths, deadline),
    get abandoned() {
      return worker.abandoned;
    },
    close: () => worker.close(),
  };
}

function show(times: readonly number[], width: number): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[0]?.toFixed(1)} / ${sorted[sorted.length >> 1]?.toFixed(1)}`.padStart(width);
}

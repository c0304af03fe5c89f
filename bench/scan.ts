// How long a scan takes: first and steady state for 64, 1,000 and 4,096 PCI functions, on a tree in memory with the real files
// adapter, and the longest time the event loop waited meanwhile. Run: node bench/scan.ts
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { hostPaths } from '../src/host/host-paths.ts';
import { createScanner } from '../src/host/scan-inventory.ts';
import { createClock } from '../src/runtime/clock-adapter.ts';
import { createFiles } from '../src/runtime/files-adapter.ts';
import { createHostTree, directorySink, temporaryRoot, type HostTree } from '../test/support/host-tree.ts';

const firstRuns = 5;
const steadyRuns = 25;
// A card is a PF and 63 VFs, each function in its own group: half of the VFs on VFIO, a quarter with an interface, a quarter unbound.
const functionsPerCard = 64;

// The clock's timers do not keep a process alive that has nothing else to do.
const keepAlive = setInterval(() => {}, 1000);
console.log('functions   first ms (min/median)   steady ms (min/median)   longest loop delay ms');
for (const count of [64, 1000, 4096]) {
  const root = temporaryRoot('/dev/shm');
  try {
    buildCards(createHostTree(directorySink(root.path)), count);
    const first = await measure(root.path, firstRuns, true);
    const steady = await measure(root.path, steadyRuns, false);
    const cells = [
      `${count}`.padStart(9),
      show(first.times, 22),
      show(steady.times, 23),
      steady.delay.toFixed(1).padStart(21),
    ];
    console.log(cells.join('   '));
  } finally {
    root.remove();
  }
}
clearInterval(keepAlive);

async function measure(path: string, runs: number, fresh: boolean): Promise<{ times: number[]; delay: number }> {
  const parts = { files: createFiles(), paths: hostPaths(path), clock: createClock() };
  let scanner = createScanner(parts);
  // Two scans nobody counts: the compiler's, and for the steady state the one that fills the memory.
  for (let run = 0; run < 2; run += 1) await scanner.scan({ wantSerialNumbers: false });
  const loop = monitorEventLoopDelay({ resolution: 1 });
  const times: number[] = [];
  loop.enable();
  for (let run = 0; run < runs; run += 1) {
    if (fresh) scanner = createScanner(parts);
    const start = performance.now();
    await scanner.scan({ wantSerialNumbers: false });
    times.push(performance.now() - start);
  }
  loop.disable();
  return { times: times.toSorted((a, b) => a - b), delay: loop.max / 1e6 };
}

function buildCards(tree: HostTree, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const card = Math.floor(index / functionsPerCard);
    const inCard = index % functionsPerCard;
    const physicalFunction = addressOf(card, 0);
    const common = {
      address: addressOf(card, inCard),
      vendor: '15b3',
      device: '101e',
      iommuGroup: index,
      numaNode: card % 2,
    };
    if (inCard === 0) {
      tree.addFunction({
        ...common,
        device: '1021',
        driver: 'mlx5_core',
        totalVirtualFunctions: 63,
        interfaces: [`ens${card}`],
      });
    } else if (inCard % 4 < 2) {
      tree.addFunction({ ...common, physicalFunction, driver: 'mlx5_vfio_pci', vfioDevice: `vfio${index}` });
    } else if (inCard % 4 === 2) {
      tree.addFunction({ ...common, physicalFunction, driver: 'mlx5_core', interfaces: [`ens${card}v${inCard}`] });
    } else {
      tree.addFunction({ ...common, physicalFunction });
    }
  }
}

function addressOf(card: number, inCard: number): string {
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return `0000:${hex(card + 1)}:${hex(inCard >> 3)}.${inCard & 7}`;
}

function show(times: readonly number[], width: number): string {
  const median = times[Math.floor(times.length / 2)] ?? Number.NaN;
  return `${times[0]?.toFixed(1)} / ${median.toFixed(1)}`.padStart(width);
}

// The controller over fleets of simulated nodes with 64 devices each on a real API server: how long until every policy's status is
// right, its memory, its requests. Run: node bench/controller-scale.ts [NODES…], default 100 1000 5000. Needs root (the controller gets
// its service account in a mount namespace of its own), the lab's programs (test/e2e/cluster) and dist/ (npm run build).
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startControlPlane } from '../test/e2e/cluster/control-plane.ts';
import { permitController, USER } from '../test/e2e/controller/controller-lab.ts';
import { type FleetFigures, measureFleet } from '../test/e2e/controller/fleet.ts';

const bundle = fileURLToPath(new URL('../dist/main.mjs', import.meta.url));
if (!existsSync(bundle)) throw new Error(`${bundle} is not there: npm run build`);
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100, 1000, 5000];

async function measure(nodes: number): Promise<FleetFigures> {
  const cluster = await startControlPlane({ users: { [USER]: ['operators'] } });
  try {
    await permitController(cluster);
    const size = { nodes, devices: 64, policies: 4 };
    const { figures, controller } = await measureFleet(cluster, size, { bundle }, (text) => console.error(`  ${text}`));
    await controller.stop('SIGTERM');
    return figures;
  } finally {
    await cluster.stop();
  }
}

const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);
const seconds = (milliseconds: number): string => (milliseconds / 1000).toFixed(1);

console.log(
  'nodes  right s  one change s  new leader s  RSS MiB (now/most/new leader)  state KiB  status writes  requests',
);
for (const nodes of sizes) {
  const figures = await measure(nodes);
  const requests = Object.entries(figures.requests).filter(([, count]) => count > 0);
  const cells = [
    `${nodes}`.padStart(5),
    seconds(figures.right).padStart(8),
    seconds(figures.oneChange).padStart(13),
    seconds(figures.successor).padStart(13),
    `${mebibytes(figures.resident)} / ${mebibytes(figures.mostResident)} / ${mebibytes(figures.successorMost)}`.padStart(
      30,
    ),
    (figures.stateBytes / 1024).toFixed(1).padStart(10),
    `${figures.statusWrites}`.padStart(14),
    requests.map(([verb, count]) => `${verb} ${count}`).join(', '),
  ];
  console.log(cells.join(' '));
}
process.exit(0);

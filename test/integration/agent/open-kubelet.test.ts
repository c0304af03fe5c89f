// Kubelet's side as the agent opens it: the CDI documents as pools come and go, while no pod asks for anything.
import { beforeEach, describe, expect, it } from 'vitest';
import { openKubelet } from '../../../src/agent/open-kubelet.ts';
import type { KubeletSide } from '../../../src/agent/kubelet-side.ts';
import { emptyLedger } from '../../../src/domain/ledger.ts';
import { hostPaths } from '../../../src/host/host-paths.ts';
import { createAgentMetrics } from '../../../src/runtime/agent-metrics.ts';
import type { Logger } from '../../../src/runtime/logger.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import type { MemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createMemoryGrpc } from '../../../src/simulation/memory-grpc.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { aPool, anAdvertised } from '../../support/pools.ts';

const named = aPool([anAdvertised('0000:3b:00.0', { iommuGroup: 12 })], { cdi: true });
const plain = { ...named, cdi: false };

let files: MemoryFiles;
let told: string[];
beforeEach(() => {
  files = createMemoryFiles({ entries: { '/state': { directory: {} }, '/run/cdi': { directory: {} } } });
  told = [];
});

function open(): Promise<KubeletSide> {
  const clock = createVirtualClock();
  const tell =
    (level: string) =>
    (fields: object, message: string): void =>
      void told.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const logger: Logger = {
    debug: () => undefined,
    info: tell('info'),
    warn: tell('warn'),
    error: tell('error'),
    child: () => logger,
  };
  return openKubelet({
    files,
    clock,
    random: createSeededRandom(1),
    grpc: createMemoryGrpc(files, clock),
    paths: hostPaths(),
    logger,
    metrics: createAgentMetrics(),
    state: '/state',
    bootId: 'boot',
    devicePluginsDirectory: '/var/lib/kubelet/device-plugins',
    kubeletRoot: '/var/lib/kubelet',
    cdiDirectory: '/run/cdi',
    registration: 'legacy',
    ledger: () => emptyLedger,
    onChange: () => undefined,
    processHolding: () => null,
  });
}

describe('pools with cdi', () => {
  it('have their documents as soon as they are offered, and none when that is over', async () => {
    const side = await open();
    await side.offer([named]);
    const [name] = files.list('/run/cdi');
    expect(files.readText(`/run/cdi/${name}`)).toContain('"kind": "vfio-operator.dev/gpu"');
    await side.offer([named]);
    await side.offer([plain]);
    expect(files.list('/run/cdi')).toEqual([]);
    expect(told).toEqual([
      `info CDI documents changed {"written":["/run/cdi/${name}"],"removed":[]}`,
      `info CDI documents changed {"written":[],"removed":["/run/cdi/${name}"]}`,
    ]);
    await side.stop();
  });

  it('leave their documents when the agent stops, and the next agent removes what is over', async () => {
    const side = await open();
    await side.offer([named]);
    await side.stop();
    expect(files.list('/run/cdi')).toHaveLength(1);
    const next = await open();
    await next.offer([]);
    expect(files.list('/run/cdi')).toEqual([]);
    await next.stop();
  });

  it('are offered although the directory is missing, and that is told once', async () => {
    files.drop('/run/cdi');
    const side = await open();
    await side.offer([named]);
    await side.offer([named]);
    expect(side.resources).toMatchObject([{ resource: named.resource, capacity: 1 }]);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^warn CDI documents are not as they should be .*ENOENT; \/run\/cdi \(--cdi-dir\)/);
    files.put('/run/cdi', { directory: {} });
    await side.offer([named]);
    expect(files.list('/run/cdi')).toHaveLength(1);
    await side.stop();
  });
});

// A simulated kernel on the bench: single writes, commands, binds, each waited for in virtual time.
import type { WriteOutcome } from '../../../src/host/ports.ts';
import type { KernelSpec } from '../../../src/simulation/kernel/spec.ts';
import { demoNode } from '../../../src/simulation/nodes/demo-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createSimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import type { SimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../../src/simulation/virtual-clock.ts';
import { devicePath } from './device-actions.ts';

/** The demo's node unless another is given. */
export class KernelBench {
  readonly clock: VirtualClock;
  readonly kernel: SimulatedKernel;

  constructor(spec: KernelSpec = demoNode) {
    this.clock = createVirtualClock();
    this.kernel = createSimulatedKernel({ spec, clock: this.clock, random: createSeededRandom(1) });
  }

  async finish<Value>(promise: Promise<Value>): Promise<Value> {
    let done = false;
    void promise.finally(() => (done = true)).catch(() => {});
    await this.clock.runUntil(() => done, 120_000);
    return promise;
  }

  async write(path: string, text: string, deadline = 1_000): Promise<WriteOutcome> {
    const lease = await this.kernel.worker.lease();
    const outcome = await this.finish(lease.write(path, text, deadline));
    lease.release();
    return outcome;
  }

  /** All writes as one word each. */
  async writes(...pairs: readonly (readonly [path: string, text: string])[]): Promise<readonly string[]> {
    const words: string[] = [];
    for (const [path, text] of pairs) {
      const outcome = await this.write(path, text);
      words.push(outcome.outcome === 'Failed' ? outcome.errno : outcome.outcome);
    }
    return words;
  }

  async modprobe(...args: readonly string[]): Promise<string> {
    const end = await this.finish(this.kernel.processes.run('/usr/sbin/modprobe', args, { deadline: 30_000 }));
    return `${end.code ?? 'killed'}${end.timedOut ? ' timed out' : ''} ${end.stderr}`.trim();
  }

  async bind(address: string, driver = 'vfio-pci'): Promise<readonly string[]> {
    await this.modprobe('vfio_pci');
    const override = await this.writes([`${devicePath(address)}/driver_override`, driver]);
    const unbind = this.kernel.files.exists(`${devicePath(address)}/driver`)
      ? await this.writes([`${devicePath(address)}/driver/unbind`, address])
      : [];
    return [...override, ...unbind, ...(await this.writes([`/sys/bus/pci/drivers/${driver}/bind`, address]))];
  }

  driver(address: string): string | null | undefined {
    return this.kernel.control.snapshot().drivers[address];
  }
}

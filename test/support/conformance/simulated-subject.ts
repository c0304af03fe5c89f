// The simulated kernel as a subject: a call that has not answered after two seconds of virtual time is asleep.
import type { KernelWorker } from '../../../src/host/ports.ts';
import { FileError } from '../../../src/runtime/ports.ts';
import { labAddresses, labNode } from '../../../src/simulation/nodes/lab-node.ts';
import { createSeededRandom } from '../../../src/simulation/seeded-random.ts';
import { createSimulatedKernel } from '../../../src/simulation/simulated-kernel.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';
import type { Begun, Role, Subject } from './subject.ts';

const patience = 2_000;

/** Builds the lab's machine with a release of that kernel. */
export function createSimulatedSubject(kernel: '5.10' | '6.1' | '6.12'): Subject {
  const clock = createVirtualClock();
  const simulated = createSimulatedKernel({
    spec: labNode(`${kernel}.95-amd64`),
    clock,
    random: createSeededRandom(1),
  });
  const { files, control } = simulated;
  const begin = async (start: () => Promise<string>): Promise<Begun> => {
    let now: string | null = null;
    const end = start().then((value) => (now = value));
    await clock.runUntil(() => now !== null, patience);
    return { now: now ?? 'blocked', end };
  };
  const kernelCall = <Outcome extends { readonly outcome: string }>(
    call: Promise<Outcome>,
    text: (outcome: Outcome) => string,
  ): Promise<string> => call.then(text);
  // A lease of its own for each call: several of them sleep at once, and the limit is not what is examined here.
  const worker = (): KernelWorker => simulated.startAgent().worker;
  const attempt = async (run: () => string): Promise<string> => {
    try {
      return run();
    } catch (error) {
      if (error instanceof FileError) return error.code;
      throw error;
    }
  };
  return {
    kernel,
    addresses: labAddresses,
    write: (path, text) =>
      begin(async () => {
        const lease = await worker().lease();
        return kernelCall(lease.write(path, text, Number.MAX_SAFE_INTEGER), (result) =>
          result.outcome === 'Failed' ? result.errno : 'ok',
        );
      }),
    read: (path) =>
      begin(() =>
        kernelCall(worker().read([path], Number.MAX_SAFE_INTEGER), (result) => {
          const [first] = result.outcome === 'Read' ? result.results : [];
          if (first === undefined) throw new Error('one path, one result');
          return 'text' in first ? first.text : first.errno;
        }),
      ),
    readLink: (path) => attempt(() => files.readLink(path)),
    async list(path) {
      return files.exists(path) ? [...files.list(path)].sort() : [];
    },
    exists: async (path) => files.exists(path),
    describe: (path) =>
      attempt(() => {
        const stat = files.stat(path);
        return `${stat.kind} ${stat.node ?? '-'} ${stat.mode.toString(8)}`;
      }),
    createFile: async (path, text) => files.put(path, text),
    removeFile: async (path) => files.drop(path),
    async modprobe(...args) {
      let code: number | null = null;
      void simulated.processes.run('modprobe', args, { deadline: 60_000 }).then((end) => (code = end.code));
      await clock.runUntil(() => code !== null, 60_000);
      return code ?? -1;
    },
    async open(how, address) {
      const holder =
        how === 'group'
          ? control.openGroup(address)
          : control.openDevice(address, how === 'yield' ? { letsGoAfter: 20 } : {});
      if ('errno' in holder) return holder.errno;
      return {
        close: async () => {
          holder.close();
          await clock.advance(100);
        },
      };
    },
    unplug: async (role: Role) => control.unplug(labAddresses[role]),
    plug: async (role: Role) => control.plug(labAddresses[role]),
    settle: () => clock.advance(patience),
  };
}

// The Processes port on the simulated machine: it has modprobe and nothing else.
import type { CommandResult, Processes, ProcessIdentity } from '../runtime/ports.ts';
import type { Machine } from './kernel/machine.ts';
import { modprobe } from './kernel/modprobe.ts';

/** Builds the port for a process of that identity. */
export function createSimulatedProcesses(machine: Machine, self: ProcessIdentity): Processes {
  return {
    self,
    run(file, args, { deadline }): Promise<CommandResult> {
      if (file !== 'modprobe' && !file.endsWith('/modprobe')) {
        return Promise.resolve({ code: 127, stdout: '', stderr: `${file}: not found`, timedOut: false });
      }
      const call = machine.scheduler.start(modprobe(machine, args));
      return new Promise((resolve) => {
        const timer = machine.clock.after(deadline, () =>
          resolve({ code: null, stdout: '', stderr: '', timedOut: true }),
        );
        call.whenDone((result) => {
          timer.cancel();
          resolve({ ...result, timedOut: false });
        });
      });
    },
  };
}

// Is the /proc we read the host's? Mounts, routes and open files of a container's own PID 1 would make every device of the host look
// unused, so nothing read below /proc counts as proof of absence unless PID 1 is shown to be the host's init.
import { isAbsent, type Reading, type Failure } from './evidence.ts';
import type { ProofPass } from './proof-pass.ts';

/** What is known of our view: null when it is the host's, else why nothing can be concluded from what is not seen. */
export interface HostView {
  readonly foreign: Failure | null;
}

// The inode number of the initial PID namespace is fixed: PROC_PID_INIT_INO in include/linux/proc_ns.h (since 3.8).
const initialPidNamespace = 'pid:[4026531836]';

/**
 * Looks at the PID namespace of PID 1. Where its link may not be read (no CAP_SYS_PTRACE), our own will do: /proc/self exists only in
 * the procfs of a PID namespace that contains us, so if we are in the initial one, this procfs is its.
 */
export function readHostView(pass: ProofPass): HostView {
  const { paths, evidence } = pass;
  if (paths.kind === 'copy') {
    return {
      foreign: { source: paths.proc, why: 'a copy of a host shows no processes, mounts or routes of that host' },
    };
  }
  const source = `${paths.init}/ns/pid`;
  const init = evidence.link(source);
  const shown = 'value' in init ? init : evidence.link(`${paths.process('self')}/ns/pid`);
  if ('value' in shown && shown.value === initialPidNamespace) return { foreign: null };
  return { foreign: { source, why: describeFailure(init, shown) } };
}

function describeFailure(init: Reading<string>, shown: Reading<string>): string {
  if ('value' in shown) {
    return `${JSON.stringify(shown.value)} is not the host's PID namespace (${initialPidNamespace}): run with hostPID`;
  }
  if ('value' in init || isAbsent(init)) return "there is no PID 1: the host's /proc is not here";
  return `readlink: ${init.errno}; reading the host's PID 1 needs hostPID and CAP_SYS_PTRACE`;
}

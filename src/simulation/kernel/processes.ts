// Processes of the simulated machine and what /proc shows of them: identity, open files, namespaces, mounts.
import type { Entry } from '../memory/entry.ts';
import { mountInfo } from './proc-text.ts';
import type { Machine, SimFd, SimProcess } from './machine.ts';
import type { MountSpec } from './spec.ts';

/** How a process differs from a plain one in the host's namespaces. */
export interface ProcessOptions {
  readonly pid?: number;
  /** Mounts of a namespace of its own. */
  readonly mounts?: readonly MountSpec[];
  readonly letsGoAfter?: number;
}

const hostNamespaces = { pid: 4026531836, mnt: 4026531841, net: 4026531840, cgroup: 4026531835 };

/** Starts a process. */
export function startProcess(machine: Machine, command: string, options: ProcessOptions = {}): SimProcess {
  const pid = options.pid ?? machine.nextPid++;
  const process: SimProcess = {
    pid,
    startTime: String(Math.floor((machine.clock.monotonic() - machine.bootedAt) / 10) + pid),
    command,
    mounts: options.mounts ?? null,
    fds: new Map(),
    state: 'S',
    letsGoAfter: options.letsGoAfter ?? null,
  };
  machine.processes.set(pid, process);
  machine.files.put(`/proc/${pid}`, { directory: processDirectory(machine, process) });
  return process;
}

/** Ends a process: all its files are closed, and who waited for that goes on. */
export function endProcess(machine: Machine, process: SimProcess): void {
  // After a reboot its number may be another's.
  if (machine.processes.get(process.pid) !== process) return;
  machine.processes.delete(process.pid);
  for (const fd of process.fds.values()) fd.close();
  process.fds.clear();
  machine.files.drop(`/proc/${process.pid}`);
  machine.scheduler.poll();
}

/** Gives a process a new open file; returns its number. */
export function addFd(machine: Machine, process: SimProcess, fd: SimFd): number {
  let number = 3;
  while (process.fds.has(number)) number += 1;
  process.fds.set(number, fd);
  const { text, node, device } = fd;
  const shown = (): string => (node !== null && machine.files.find(text) !== node ? `${text} (deleted)` : text);
  machine.files.put(`/proc/${process.pid}/fd/${number}`, {
    link: shown,
    ...(node === null ? {} : { leadsTo: node }),
  });
  const named = device !== null && machine.quirks.fdinfoNamesDevice;
  const info = named ? `vfio-device-syspath: ${device.path}\n` : '';
  machine.files.put(`/proc/${process.pid}/fdinfo/${number}`, `pos:\t0\nflags:\t02000002\nmnt_id:\t1\n${info}`);
  return number;
}

/** Gives an open file to another process and closes it in this one: the file itself stays open all the time. */
export function passFd(machine: Machine, from: SimProcess, number: number, to: SimProcess): void {
  const fd = from.fds.get(number);
  if (fd === undefined) return;
  addFd(machine, to, fd);
  from.fds.set(number, { ...fd, close: () => {} });
  closeFd(machine, from, number);
}

/** Closes one open file. */
export function closeFd(machine: Machine, process: SimProcess, number: number): void {
  const fd = process.fds.get(number);
  if (fd === undefined) return;
  process.fds.delete(number);
  fd.close();
  machine.files.drop(`/proc/${process.pid}/fd/${number}`);
  machine.files.drop(`/proc/${process.pid}/fdinfo/${number}`);
  machine.scheduler.poll();
}

function processDirectory(machine: Machine, process: SimProcess): Record<string, Entry> {
  const { pid, command } = process;
  const short = command.slice(0, 15);
  const namespaces = { ...hostNamespaces, ...(process.mounts === null ? {} : { mnt: 4026532000 + pid }) };
  const fields = Array.from({ length: 17 }, () => '0').join(' ');
  return {
    comm: `${short}\n`,
    cmdline: `${command}\0`,
    stat: { computed: true, read: () => `${pid} (${short}) ${process.state} 1 ${fields} ${process.startTime} 0 0\n` },
    status: {
      computed: true,
      read: () => `Name:\t${short}\nState:\t${process.state}\nPid:\t${pid}\nUid:\t0\t0\t0\t0\n`,
    },
    cgroup: '0::/\n',
    mountinfo: { computed: true, read: () => mountInfo(process.mounts ?? machine.mounts) },
    ns: {
      directory: Object.fromEntries(
        Object.entries(namespaces).map(([name, number]) => [name, { link: `${name}:[${number}]` } satisfies Entry]),
      ),
    },
    fd: { directory: {} },
    fdinfo: { directory: {} },
    root: { link: '/' },
  };
}

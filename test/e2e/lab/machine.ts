// One QEMU process: started closed to every network, killed with the program that started it, its console kept.
// Emulation only (TCG, one thread): stock kernels do not run under every /dev/kvm, and results must not depend on it.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scratchDirectory } from './cache.ts';
import { LabError } from './lab-error.ts';
import { loaderArguments, toolCommand } from './tools.ts';
import type { Tools } from './tools.ts';

/** A service of the test machine that the guest may reach at 10.0.2.100:`guestPort`, and nothing else. */
export interface Forward {
  readonly guestPort: number;
  readonly hostPort: number;
}

export interface MachineInput {
  readonly tools: Tools;
  readonly kernelImage: string;
  readonly commandLine: string;
  readonly initramfs: Buffer;
  readonly topology: readonly string[];
  readonly forwards: readonly Forward[];
  /** A directory of this boot, from `newRunDirectory`; removed when the machine has stopped. */
  readonly runDirectory: string;
}

/** A running machine. */
export interface Machine {
  readonly executorSocket: string;
  readonly qmpSocket: string;
  /** What the kernel and PID 1 wrote to the serial console so far. */
  console(): string;
  /** What QEMU itself complained about so far. */
  complaints(): string;
  /** Resolves when the process is gone, with what it said last. */
  readonly stopped: Promise<string>;
  readonly running: () => boolean;
  /** SIGKILL: a power cut. */
  kill(): Promise<void>;
}

/** A fresh directory for one boot, below the system's temporary directory; those of dead runs are removed. */
export function newRunDirectory(): string {
  return scratchDirectory(tmpdir(), 'vfio-lab-');
}

/** Starts QEMU. Throws LabError when it cannot be started; a QEMU that stops at once shows in `stopped`. */
export function startMachine(input: MachineInput): Machine {
  const { runDirectory } = input;
  const executorSocket = join(runDirectory, 'executor.sock');
  const qmpSocket = join(runDirectory, 'qmp.sock');
  const initramfs = join(runDirectory, 'initramfs');
  writeFileSync(initramfs, input.initramfs);
  const { directory } = input.tools;
  const argv = [
    // The kernel kills QEMU when the thread that started it ends: no machine outlives its test.
    ['setpriv', '--pdeathsig', 'KILL', '--'],
    toolCommand(input.tools, 'usr/bin/qemu-system-x86_64', 'qemu-system-x86_64'),
    ['-L', join(directory, 'usr/share/qemu'), '-L', join(directory, 'usr/share/seabios')],
    ['-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', '1', '-no-reboot'],
    input.topology,
    ['-kernel', input.kernelImage, '-initrd', initramfs, '-append', input.commandLine],
    ['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ['-qmp', `unix:${qmpSocket},server=on,wait=off`],
    ['-chardev', `socket,id=executor,path=${executorSocket},server=on,wait=off`],
    ['-device', 'virtio-serial-pci,id=channel,bus=pcie.0,addr=0x7'],
    ['-device', 'virtserialport,chardev=executor,name=lab.executor'],
    ['-fsdev', 'local,id=root,path=/,security_model=none,readonly=on,multidevs=remap'],
    ['-device', 'virtio-9p-pci,id=root9p,fsdev=root,mount_tag=root,bus=pcie.0,addr=0x6'],
    ['-netdev', network(input)],
    ['-device', 'virtio-net-pci,id=uplink,netdev=uplink,bus=pcie.0,addr=0x5,romfile='],
  ].flat();
  writeFileSync(join(runDirectory, 'command'), `${argv.join('\n')}\n`);
  return watch(argv, executorSocket, qmpSocket, runDirectory);
}

/** The user network with restrict=on: the guest's packets end in QEMU, but for the services named. */
function network(input: MachineInput): string {
  const socat = [...loaderArguments(input.tools.directory), join(input.tools.directory, 'usr/bin/socat')].join(' ');
  const forwards = input.forwards.map(
    ({ guestPort, hostPort }) => `guestfwd=tcp:10.0.2.100:${guestPort}-cmd:${socat} - TCP:127.0.0.1:${hostPort}`,
  );
  return ['user,id=uplink,restrict=on', ...forwards].join(',');
}

function watch(argv: readonly string[], executorSocket: string, qmpSocket: string, runDirectory: string): Machine {
  const [program = '', ...rest] = argv;
  const child: ChildProcess = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  const console: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => console.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk));
  const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString();
  let running = true;
  const stopped = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      running = false;
      resolve(`${program} cannot be started: ${error.message}`);
    });
    child.once('close', (code, signal) => {
      running = false;
      if (process.env['VFIO_LAB_KEEP'] === '1') writeFileSync(join(runDirectory, 'console.log'), text(console));
      else rmSync(runDirectory, { recursive: true, force: true });
      resolve(`QEMU ended with ${signal ?? `exit code ${code}`}. ${text(complaints).trim()}`);
    });
  });
  return {
    executorSocket,
    qmpSocket,
    console: () => text(console),
    complaints: () => text(complaints),
    stopped,
    running: () => running,
    kill: async () => {
      child.kill('SIGKILL');
      await stopped;
    },
  };
}

/** The error for a machine that stopped when it should run. */
export function machineStopped(machine: Machine, last: string): LabError {
  return new LabError(`The guest stopped before it was ready. ${last}`, { detail: machine.console() });
}

// The command line's entry: builds the adapters, runs the program, ends the process with its exit code.
import { createKernelWorker } from '../host/kernel-worker-adapter.ts';
import { createDiskReader } from '../host/proof/disk-reader-adapter.ts';
import { readOwnAddresses } from '../host/proof/own-addresses-adapter.ts';
import { createClock } from '../runtime/clock-adapter.ts';
import { createFiles } from '../runtime/files-adapter.ts';
import { createSockets } from '../runtime/sockets-adapter.ts';
import { version } from '../runtime/version.ts';
import type { CliParts } from './cli-parts.ts';
import { serviceOfPod, wantsColour } from './config.ts';
import type { OpenCluster } from './read-cluster.ts';
import { exitCodes } from './exit-codes.ts';
import { runProgram } from './program.ts';
import { createTerminal } from './terminal.ts';

/** Runs the command line and ends the process. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`) is no failure.
  process.stdout.on('error', (error) => {
    if ('code' in error && error.code === 'EPIPE') process.exit(exitCodes.ok);
    throw error;
  });
  const terminal = createTerminal(
    (text) => void process.stdout.write(text),
    (text) => void process.stderr.write(text),
    { colour: wantsColour(process.stdout.isTTY) },
  );
  const clock = createClock();
  const worker = createKernelWorker({ entry: workerEntry() });
  const parts: CliParts = {
    files: createFiles(),
    clock,
    sockets: createSockets(),
    terminal,
    worker,
    proofs: { disks: createDiskReader(process.execPath), ownAddresses: readOwnAddresses('/proc') },
    readPods: async (socket) => {
      const [{ createGrpc }, { readPodResources }] = await Promise.all([
        import('../kubelet/grpc-adapter.ts'),
        import('../kubelet/pod-resources.ts'),
      ]);
      return readPodResources({ grpc: createGrpc(), clock }, socket);
    },
    writer: async () => {
      const [{ createGrpc }, { createProcesses }, { createRandom }] = await Promise.all([
        import('../kubelet/grpc-adapter.ts'),
        import('../runtime/processes-adapter.ts'),
        import('../runtime/random-adapter.ts'),
      ]);
      return { grpc: createGrpc(), processes: createProcesses(), random: createRandom() };
    },
    openCluster,
    toYaml: async (value) => (await import('./yaml-adapter.ts')).toYaml(value),
  };
  // The clock's timers do not keep a process alive, and a pause is sometimes all that a command is waiting for.
  const alive = setInterval(() => undefined, 60_000);
  const code = await runProgram(argv, parts);
  clearInterval(alive);
  worker.close();
  // A kernel call that does not return keeps its worker, which must not keep us.
  process.stdout.write('', () => process.exit(code));
}

/** In a pod its service account, unless a kubeconfig is named; else what kubectl would take. */
const openCluster: OpenCluster = async ({ kubeconfig, context }) => {
  const [{ createApiConnection }, { createHttp }, { inClusterAccess }] = await Promise.all([
    import('../kube/api-connection.ts'),
    import('../kube/http-adapter.ts'),
    import('../kube/cluster-access.ts'),
  ]);
  const pod = kubeconfig === null && context === null ? serviceOfPod() : null;
  const access =
    pod === null
      ? await (await import('../kube/cluster-client.ts')).openKubeconfig({ file: kubeconfig, context, address: null })
      : inClusterAccess({ files: createFiles(), serviceHost: pod.host, servicePort: pod.port, address: null });
  const { server, credentials } = access;
  return createApiConnection({
    http: createHttp({ server, credentials }),
    credentials,
    clock: createClock(),
    server,
    pathPrefix: server.pathPrefix,
    userAgent: `vfio-operator/${version}`,
  });
};

/** The worker is a bundle of its own beside ours; run from the sources, its source file. */
function workerEntry(): string {
  const entry = import.meta.url.endsWith('.ts') ? '../host/kernel-worker.ts' : './kernel-worker.cjs';
  return new URL(entry, import.meta.url).pathname;
}

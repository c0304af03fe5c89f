// Runs in the guest: the kubelet stand-in as a process, on real unix sockets in kubelet's own directories. Told what to do by JSON lines on
// stdin (`KubeletRequest`), each answered by a JSON line; what kubelet hears by itself is told as it comes, with the devices of every
// resource at that moment. Ends with its stdin.
import { createInterface } from 'node:readline';
import { createGrpc } from '../../../src/kubelet/grpc-adapter.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import { createFiles } from '../../../src/runtime/files-adapter.ts';
import { KubeletStandIn } from '../../../src/simulation/kubelet-stand-in.ts';
import type { KubeletLine, KubeletListing, KubeletRequest } from './kubelet-in-guest.ts';

const root = '/var/lib/kubelet';
const namespace = 'default';
const container = 'main';

const files = createFiles();
const kubelet: KubeletStandIn = new KubeletStandIn(
  { grpc: createGrpc(), files, clock: createClock() },
  {
    directory: `${root}/device-plugins`,
    podResourcesDirectory: `${root}/pod-resources`,
    registryDirectory: null,
    onEvent: (event) => say({ event, resources: listing() }),
  },
);
let running = false;

function say(line: KubeletLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function listing(): KubeletListing {
  if (!running) return {};
  const names = [...kubelet.resources().keys()];
  return Object.fromEntries(names.map((name) => [name, kubelet.devices(name) ?? []]));
}

async function serve(request: KubeletRequest): Promise<unknown> {
  switch (request.command) {
    case 'start':
      await kubelet.start();
      running = true;
      // What was listed before is not known any more.
      say({ event: 'kubelet listens', resources: listing() });
      return;
    case 'stop':
      await kubelet.stop();
      running = false;
      return;
    case 'listing':
      return listing();
    case 'admit':
      return kubelet.admit({
        namespace,
        name: request.pod,
        containers: [{ name: container, limits: { [request.resource]: 1 } }],
      });
    case 'startContainer':
      return kubelet.startContainer(namespace, request.pod, container);
    case 'held':
      return Object.fromEntries(kubelet.held(namespace, request.pod));
    case 'deletePod':
      return kubelet.deletePod(namespace, request.pod);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line) as KubeletRequest & { readonly id: number };
  const begun = performance.now();
  // Requests overlap, as kubelet's pods do.
  void serve(request as KubeletRequest).then(
    (value) => say({ id, milliseconds: performance.now() - begun, value: value ?? null }),
    (error: unknown) =>
      say({
        id,
        milliseconds: performance.now() - begun,
        error: error instanceof Error ? error.message : String(error),
      }),
  );
}
process.exit(0);

// Runs in the guest: asks the real kubelet's PodResources, one JSON line on stdin for each question, one JSON line with the answer and the
// guest's clock on stdout. Ends with its stdin.
import { createInterface } from 'node:readline';
import { createGrpc } from '../../../src/kubelet/grpc-adapter.ts';
import { readAllocatableResources, readPodResources } from '../../../src/kubelet/pod-resources.ts';
import { createClock } from '../../../src/runtime/clock-adapter.ts';
import type { PodResourcesAnswer, PodResourcesQuestion } from './told-kubelet.ts';

const socket = '/var/lib/kubelet/pod-resources/kubelet.sock';
const ports = { grpc: createGrpc(), clock: createClock() };

async function answer(question: PodResourcesQuestion['ask']): Promise<unknown> {
  switch (question) {
    case 'allocatable':
      return readAllocatableResources(ports, socket);
    case 'holders':
      return readPodResources(ports, socket);
    case 'clock':
      return null;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ask } = JSON.parse(line) as PodResourcesQuestion;
  const value = await answer(ask);
  const said: PodResourcesAnswer = { id, at: Date.now(), value };
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
process.exit(0);

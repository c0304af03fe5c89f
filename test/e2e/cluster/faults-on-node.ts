// What can happen between kubelet and the agent of a node, each as one act, with the moment by the guest's clock at which it was done.

import { setTimeout as sleep } from 'node:timers/promises';
import { socketName } from '../../../src/kubelet/plugin-socket.ts';
import { LabError } from '../lab/lab-error.ts';
import type { ClusterSteps } from './cluster-steps.ts';
import { cutConnections } from './cut-connections.ts';
import type { Node } from './node.ts';

const PLUGINS = '/var/lib/kubelet/device-plugins';

export const faultNames = [
  'kubelet restarted',
  'plugin socket deleted',
  'plugin directory replaced',
  'agent killed during a call',
  'stream cut',
  'agent killed',
  'kubelet killed',
] as const;
export type FaultName = (typeof faultNames)[number];

/** What came of one. */
export interface Fault {
  /** Milliseconds by the guest's clock. */
  readonly at: number;
  /** Whether kubelet has to hear of every resource again, or of one of them alone. */
  readonly loses: 'all' | { readonly resource: string };
}

export interface FaultParts {
  readonly node: Node;
  readonly steps: ClusterSteps;
  readonly resources: readonly string[];
  /** Creates a pod that kubelet will ask the agent for. */
  readonly makePod: () => Promise<void>;
  /** Resolves when kubelet has begun to ask for it. */
  readonly waitForCall: () => Promise<void>;
}

/** Does it; the number of the round chooses between variants. */
export async function doFault(name: FaultName, round: number, parts: FaultParts): Promise<Fault> {
  const { node, steps } = parts;
  const { guest } = node;
  /** Runs `command` right after the clock was read. */
  const timed = async (command: string): Promise<number> => {
    const [first = ''] = (await guest.run(`date +%s%3N; ${command}`)).split('\n');
    return Number(first);
  };
  const restartKubelet = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number> => {
    const at = await timed('true');
    await node.stopKubelet(signal);
    await node.startKubelet();
    return at;
  };
  switch (name) {
    case 'kubelet restarted':
      return { at: await restartKubelet('SIGTERM'), loses: 'all' };
    case 'kubelet killed':
      return { at: await restartKubelet('SIGKILL'), loses: 'all' };
    case 'plugin socket deleted': {
      const resource = parts.resources[round % parts.resources.length] ?? '';
      const name = socketName('vfio-operator', resource, '').replace(/\.sock$/, '*.sock');
      return { at: await timed(`rm ${PLUGINS}/${name}`), loses: { resource } };
    }
    case 'plugin directory replaced': {
      // Kubelet's checkpoint moves along: what is replaced is the directory, not what kubelet knows.
      const at = await timed(
        `mv ${PLUGINS} ${PLUGINS}.before; mkdir -m 0750 ${PLUGINS}; cp -p ${PLUGINS}.before/kubelet_internal_checkpoint ${PLUGINS}/; rm -rf ${PLUGINS}.before`,
      );
      // Nobody can register until kubelet makes its socket anew.
      if (round % 2 === 0) await sleep(2_000);
      await restartKubelet('SIGKILL');
      return { at, loses: 'all' };
    }
    case 'stream cut': {
      const program = await cutConnections();
      const at = await timed('true');
      const cut = Number(await guest.run(`${program} ${await steps.agentProcess()} ${PLUGINS}`));
      if (cut === 0) throw new LabError('No connection of kubelet to the agent was found.');
      return { at, loses: 'all' };
    }
    case 'agent killed':
      return { at: await timed(`kill -KILL ${await steps.agentProcess()}`), loses: 'all' };
    case 'agent killed during a call': {
      const agent = await steps.agentProcess();
      if (round % 2 === 0) {
        // Frozen it does not answer, so the call is under way for certain.
        await guest.run(`kill -STOP ${agent}`);
        await parts.makePod();
        await parts.waitForCall();
        return { at: await timed(`kill -KILL ${agent}`), loses: 'all' };
      }
      // Somewhere in the calls, in their writes and their answers.
      const made = parts.makePod();
      await sleep((round * 137) % 2_500);
      const at = await timed(`kill -KILL ${agent}`);
      await made;
      return { at, loses: 'all' };
    }
  }
}

// What `vfio-operator plan` answers on the demo's node: the command line's own look at a host, on the simulated one.
import { lookAtNode } from '../cli/look-at-node.ts';
import type { NodeLook } from '../cli/look-at-node.ts';
import { readPodResources } from '../kubelet/pod-resources.ts';
import { nodeName, stateDirectory } from './demo-stage.ts';
import type { DemoStage } from './demo-stage.ts';

/** Looks and plans by the policies in a directory (null: by none); writes nothing. */
export function rehearse(stage: DemoStage, policies: string | null): Promise<NodeLook> {
  const { files, clock, worker, proofs, grpc } = stage;
  return stage.when(
    lookAtNode(
      {
        root: null,
        kernel: null,
        policies,
        state: stateDirectory,
        nodeName,
        machineName: nodeName,
        labelsOf: () => ({}),
        loadModules: true,
      },
      { files, clock, worker, proofs, readPods: (socket) => readPodResources({ grpc, clock }, socket) },
    ),
  );
}

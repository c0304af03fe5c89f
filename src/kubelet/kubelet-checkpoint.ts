// Kubelet's own memory of what we answered: the device manager's checkpoint, an internal file whose form has been the same since
// Kubernetes 1.20 (pkg/kubelet/cm/devicemanager/checkpoint). Read only where our own record is missing; whatever does not fit is
// no answer.
import { FileError } from '../runtime/ports.ts';
import type { Files } from '../runtime/ports.ts';
import { containerAllocateResponse } from './codec.ts';
import type { ContainerAllocateResponse } from './messages.ts';

/** One container's devices of one resource, and what we said for them. */
export interface CheckpointedAnswer {
  readonly resource: string;
  readonly ids: readonly string[];
  readonly answer: ContainerAllocateResponse;
}

/** The answers kept in `directory`, the plugin directory; empty when there is no such file, or none that can be understood. */
export function readCheckpointedAnswers(files: Files, directory: string): readonly CheckpointedAnswer[] {
  let root: unknown;
  try {
    root = JSON.parse(files.readText(`${directory}/kubelet_internal_checkpoint`));
  } catch (error) {
    if (error instanceof FileError || error instanceof SyntaxError) return [];
    throw error;
  }
  const entries = property(property(root, 'Data'), 'PodDeviceEntries');
  return Array.isArray(entries) ? entries.flatMap((entry: unknown) => parseEntry(entry)) : [];
}

function parseEntry(entry: unknown): readonly CheckpointedAnswer[] {
  const resource = property(entry, 'ResourceName');
  const answer = property(entry, 'AllocResp');
  const byNode = property(entry, 'DeviceIDs');
  if (typeof resource !== 'string' || typeof answer !== 'string' || typeof byNode !== 'object') return [];
  const ids = Object.values(byNode ?? {})
    .flat()
    .filter((id) => typeof id === 'string');
  try {
    const bytes = Uint8Array.from(atob(answer), (character) => character.charCodeAt(0));
    return [{ resource, ids, answer: containerAllocateResponse.decode(bytes) }];
  } catch {
    return [];
  }
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

// The device manager's checkpoint file as kubelet writes it: which container was given which devices, with the plugin's answer, and
// which resources are registered. The checksum is a Go hash of Go memory that nothing but kubelet reads; here it is 0.
import * as codec from '../../kubelet/codec.ts';
import type { ContainerAllocateResponse } from '../../kubelet/messages.ts';
import { FileError } from '../../runtime/ports.ts';
import type { Files } from '../../runtime/ports.ts';

/** Name of the file in the plugin directory. */
const checkpointName = 'kubelet_internal_checkpoint';

/** What one container was given of one resource. */
export interface GivenDevices {
  readonly podUid: string;
  readonly container: string;
  readonly resource: string;
  /** NUMA node (-1: none) → ids. */
  readonly ids: Readonly<Record<string, readonly string[]>>;
  readonly answer: ContainerAllocateResponse;
}

export interface Checkpoint {
  readonly given: readonly GivenDevices[];
  readonly registered: Readonly<Record<string, readonly string[]>>;
}

interface FileForm {
  readonly Data: {
    readonly PodDeviceEntries:
      | readonly {
          readonly PodUID: string;
          readonly ContainerName: string;
          readonly ResourceName: string;
          readonly DeviceIDs: Readonly<Record<string, readonly string[]>>;
          readonly AllocResp: string;
        }[]
      | null;
    readonly RegisteredDevices: Readonly<Record<string, readonly string[]>>;
  };
  readonly Checksum: number;
}

/** Writes the file whole, by rename. */
export async function writeCheckpoint(files: Files, directory: string, checkpoint: Checkpoint): Promise<void> {
  const form: FileForm = {
    Data: {
      PodDeviceEntries: checkpoint.given.map((given) => ({
        PodUID: given.podUid,
        ContainerName: given.container,
        ResourceName: given.resource,
        DeviceIDs: given.ids,
        AllocResp: btoa(String.fromCharCode(...codec.containerAllocateResponse.encode(given.answer))),
      })),
      RegisteredDevices: checkpoint.registered,
    },
    Checksum: 0,
  };
  const path = `${directory}/${checkpointName}`;
  const log = await files.openLog(`${path}.new`, { truncate: true });
  await log.append(JSON.stringify(form));
  await log.sync();
  await log.close();
  await files.rename(`${path}.new`, path);
}

/** Reads the file; empty when there is none. */
export function readCheckpoint(files: Files, directory: string): Checkpoint {
  let text: string;
  try {
    text = files.readText(`${directory}/${checkpointName}`);
  } catch (error) {
    if (error instanceof FileError && error.code === 'ENOENT') return { given: [], registered: {} };
    throw error;
  }
  const { Data } = JSON.parse(text) as FileForm;
  return {
    given: (Data.PodDeviceEntries ?? []).map((entry) => ({
      podUid: entry.PodUID,
      container: entry.ContainerName,
      resource: entry.ResourceName,
      ids: entry.DeviceIDs,
      answer: codec.containerAllocateResponse.decode(
        Uint8Array.from(atob(entry.AllocResp), (character) => character.charCodeAt(0)),
      ),
    })),
    registered: Data.RegisteredDevices,
  };
}

// Whether devices of ours still answer: a PCI function that has fallen off its bus reads all ones from its configuration space
// (pci_device_is_present() in drivers/pci/pci.c judges by its first four bytes, for a virtual function by its PF's). Reading wakes a sleeping device up (pci_config_pm_runtime_get), so
// only one that is awake is asked, every 30 s at most, through the kernel worker. One that was silent is asked asleep or not: it is
// offered to nobody, and only an answer makes it well.
import type { Device } from '../domain/device.ts';
import { FileError, type Clock, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { WorkerUnavailable, type KernelWorker } from './ports.ts';

export interface ConfigSpaceHealthParts {
  readonly files: Files;
  readonly paths: HostPaths;
  readonly worker: KernelWorker;
  readonly clock: Clock;
  /** Milliseconds that one read may take. */
  readonly deadline: number;
}

export interface ConfigSpaceHealth {
  /** Looks at `devices` as far as it is time to; what is wrong with which, as a sentence by address. Never rejects. */
  check(devices: readonly Device[], excluded: ReadonlySet<string>): Promise<ReadonlyMap<string, string>>;
}

/** Milliseconds between two reads of one device. */
const interval = 30_000;
/** Reads that may be in the kernel without end: workers are needed for more than this. */
const pendingLimit = 2;

interface Verdict {
  readonly at: number;
  readonly problem: string | null;
}

export function createConfigSpaceHealth({
  files,
  paths,
  worker,
  clock,
  deadline,
}: ConfigSpaceHealthParts): ConfigSpaceHealth {
  let verdicts = new Map<string, Verdict>();
  const pending = new Set<string>();

  const isAwake = (device: Device): boolean => {
    try {
      return files.readText(`${paths.device(device.bus, device.address)}/power/runtime_status`).trim() === 'active';
    } catch (error) {
      if (error instanceof FileError) return false;
      throw error;
    }
  };

  const ask = async (device: Device): Promise<string | null> => {
    const path = `${paths.device(device.bus, device.address)}/config`;
    const answer = await worker.read([path], deadline);
    if (answer.outcome === 'Stuck') {
      pending.add(device.address);
      void answer.returned.then(() => pending.delete(device.address));
      return `${device.address}: reading its configuration space has not returned (process ${answer.worker.pid})`;
    }
    const [result] = answer.results;
    // An error is no proof of anything: what is gone from its bus shows elsewhere.
    if (result === undefined || 'errno' in result) return null;
    // The whole header: a virtual function's vendor and device id alone read all ones, always (SR-IOV, section 3.4.1).
    return /^f+$/.test(result.text)
      ? `${device.address} does not answer: its configuration space reads all ones`
      : null;
  };

  const isDue = (device: Device): boolean => {
    const last = verdicts.get(device.address);
    if (pending.has(device.address)) return false;
    if (last !== undefined && clock.monotonic() - last.at < interval) return false;
    return (last?.problem ?? null) !== null || isAwake(device);
  };

  return {
    async check(devices, excluded) {
      const functions = devices.filter((device) => device.bus === 'pci');
      const known = new Set(functions.map(({ address }) => address));
      verdicts = new Map([...verdicts].filter(([address]) => known.has(address)));
      try {
        for (const device of functions) {
          if (pending.size >= pendingLimit) break;
          if (excluded.has(device.address) || !isDue(device)) continue;
          verdicts.set(device.address, { at: clock.monotonic(), problem: await ask(device) });
        }
      } catch (error) {
        if (!(error instanceof WorkerUnavailable)) throw error;
      }
      return new Map(
        [...verdicts].flatMap(([address, { problem }]) => (problem === null ? [] : [[address, problem] as const])),
      );
    },
  };
}

// Whether devices of ours still answer: a PCI function that has fallen off its bus reads all ones from its configuration space
// (pci_device_is_present() in drivers/pci/pci.c judges by its first four bytes, for a virtual function by its PF's). Reading wakes a sleeping device up (pci_config_pm_runtime_get), so
// only one that is awake is asked, every 30 s at most, through the kernel worker. One that was silent is asked asleep or not: it is
// offered to nobody, and only an answer makes it well. What is awake is asked for its link and its errors by the way.
import type { Device } from '../domain/device.ts';
import { FileError, type Clock, type Files } from '../runtime/ports.ts';
import type { HostPaths } from './host-paths.ts';
import { describeLink, errorsBefore, linkAttributes, parseLink, type ErrorCounts } from './pcie-link.ts';
import { WorkerUnavailable, type KernelWorker, type WorkerRead } from './ports.ts';

export interface ConfigSpaceHealthParts {
  readonly files: Files;
  readonly paths: HostPaths;
  readonly worker: KernelWorker;
  readonly clock: Clock;
  /** Milliseconds that one read may take. */
  readonly deadline: number;
}

/** Sentences by address. */
export interface DeviceHealth {
  /** Devices that do not answer. */
  readonly silent: ReadonlyMap<string, string>;
  /** What a person may want to know of a device, though it changes nothing. */
  readonly notices: ReadonlyMap<string, string>;
}

export interface ConfigSpaceHealth {
  /** Looks at `devices` as far as it is time to. Never rejects. */
  check(devices: readonly Device[], excluded: ReadonlySet<string>): Promise<DeviceHealth>;
}

/** Milliseconds between two reads of one device. */
const interval = 30_000;
/** Reads that may be in the kernel without end: workers are needed for more than this. */
const pendingLimit = 2;

interface Verdict {
  readonly at: number;
  readonly problem: string | null;
  /** Stands while the device sleeps. */
  readonly notice: string | null;
  /** Errors that it had reported when it was first asked. */
  readonly before: ErrorCounts | null;
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

  const ask = async (device: Device, last: Omit<Verdict, 'at'>): Promise<Omit<Verdict, 'at'>> => {
    const directory = paths.device(device.bus, device.address);
    // The link is the physical function's.
    const names = device.physicalFunction === null ? ['config', ...linkAttributes] : ['config'];
    const answer = await worker.read(
      names.map((name) => `${directory}/${name}`),
      deadline,
    );
    if (answer.outcome === 'Stuck') {
      pending.add(device.address);
      void answer.returned.then(() => pending.delete(device.address));
      const problem = `${device.address}: reading its configuration space has not returned (process ${answer.worker.pid})`;
      return { ...last, problem };
    }
    const [config, ...link] = answer.results.map(toText);
    // The whole header: a virtual function's vendor and device id alone read all ones, always (SR-IOV, section 3.4.1). An error is no
    // proof of anything: what is gone from its bus shows elsewhere.
    if (/^f+$/.test(config ?? ''))
      return { ...last, problem: `${device.address} does not answer: its configuration space reads all ones` };
    return { problem: null, ...judgeLink(link, last.before) };
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
          const last = verdicts.get(device.address) ?? unasked;
          verdicts.set(device.address, { ...(await ask(device, last)), at: clock.monotonic() });
        }
      } catch (error) {
        if (!(error instanceof WorkerUnavailable)) throw error;
      }
      return { silent: sentences(verdicts, 'problem'), notices: sentences(verdicts, 'notice') };
    },
  };
}

const unasked: Omit<Verdict, 'at'> = { problem: null, notice: null, before: null };

function judgeLink(texts: readonly (string | null)[], last: ErrorCounts | null): Pick<Verdict, 'notice' | 'before'> {
  const link = parseLink(texts);
  const before = errorsBefore(last, link.errors);
  return { notice: describeLink(link, before), before };
}

function toText(read: WorkerRead): string | null {
  return 'text' in read ? read.text : null;
}

function sentences(verdicts: ReadonlyMap<string, Verdict>, which: 'problem' | 'notice'): ReadonlyMap<string, string> {
  return new Map(
    [...verdicts].flatMap(([address, { [which]: text }]) => (text === null ? [] : [[address, text] as const])),
  );
}

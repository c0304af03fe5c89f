// What the real kubelet of a node was told, by kubelet's own word: PodResources says what it could give out and who has what, its log says
// when it took in which list. Node status follows a change by up to 14 s; these two do not.

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { AllocatableReading, PodHolder, PodResourcesReading } from '../../../src/kubelet/pod-resources.ts';
import type { Guest } from '../lab/guest.ts';
import { LabError } from '../lab/lab-error.ts';
import type { Node } from './node.ts';
import { eventually } from './operator.ts';

/** What the process in the guest is asked, and what it says; `at` in milliseconds by the guest's clock. */
export interface PodResourcesQuestion {
  readonly id: number;
  readonly ask: 'allocatable' | 'holders' | 'clock';
}
export interface PodResourcesAnswer {
  readonly id: number;
  readonly at: number;
  readonly value: unknown;
}

/** Healthy device ids by resource, sorted; a resource without any is absent. */
export type Units = Readonly<Record<string, readonly string[]>>;

/** One line of kubelet's log that concerns device plugins. */
export interface KubeletNote {
  /** Milliseconds since the epoch by the guest's clock, with a fraction. */
  readonly at: number;
  /** `listed`: a list was taken in; `registered`: Register was called; `serving`: kubelet can be registered with from now on. */
  readonly what: 'listed' | 'registered' | 'serving' | 'lost' | 'allocating' | 'choosing' | 'starting';
  /** Null where the line names none. */
  readonly resource: string | null;
  /** Healthy devices of the list. */
  readonly healthy: number | null;
}

export interface ToldKubelet {
  /** What kubelet could give out now of our resources; null while it does not answer. */
  allocatable(): Promise<Units | null>;
  /** Who has what, by kubelet; null while it does not answer. */
  holders(): Promise<readonly PodHolder[] | null>;
  /** Waits until kubelet could give out exactly these. */
  waitFor(wanted: Units, explain: () => Promise<string>, seconds?: number): Promise<void>;
  /** The end of the log as it is now. */
  mark(): Promise<number>;
  /** The notes after a mark, oldest first. */
  since(mark: number): Promise<readonly KubeletNote[]>;
  /** The first note after a mark that fits; waits for it. */
  waitForNote(what: string, mark: number, fits: (note: KubeletNote) => boolean, seconds?: number): Promise<KubeletNote>;
  /** Milliseconds by the guest's clock. */
  now(): Promise<number>;
  /** How many milliseconds the guest's clock is ahead of this machine's, by the quickest of ten questions. */
  clockAhead(): Promise<number>;
}

/**
 * For `beforeKubelet`: kubelet's device manager logs each call, and a container that ends again and again is started again after a second
 * at most.
 */
export async function makeKubeletTell(guest: Guest): Promise<void> {
  const path = '/etc/kubernetes/kubelet.yaml';
  const configuration = JSON.parse(await guest.readText(path)) as Readonly<Record<string, unknown>>;
  await guest.createFile(
    path,
    JSON.stringify({
      ...configuration,
      logging: { vmodule: [{ filePattern: 'manager', verbosity: 4 }] },
      crashLoopBackOff: { maxContainerRestartPeriod: '1s' },
    }),
  );
}

const LOG = '/var/log/kubelet.log';
const OURS = 'vfio-operator.dev/';

/** Starts the process that asks; it ends with the guest. */
export async function openToldKubelet(node: Node): Promise<ToldKubelet> {
  const { guest } = node;
  const zone = await guest.run('date +%z');
  const script = fileURLToPath(new URL('pod-resources-process.ts', import.meta.url));
  const child = await guest.spawn(`exec node ${script}`);
  let asked = 0;
  const ask = async (question: PodResourcesQuestion['ask']): Promise<PodResourcesAnswer> => {
    const id = (asked += 1);
    await child.input(`${JSON.stringify({ id, ask: question })}\n`);
    const marker = new RegExp(`^\\{"id":${id},.*\\}$`, 'm');
    await child.waitFor(marker, 120_000);
    return JSON.parse(marker.exec(child.stdout())?.[0] ?? '{}') as PodResourcesAnswer;
  };
  const allocatable = async (): Promise<Units | null> => {
    const reading = (await ask('allocatable')).value as AllocatableReading;
    return 'unreadable' in reading ? null : toUnits(reading.devices);
  };
  const since = async (mark: number): Promise<readonly KubeletNote[]> => {
    const words = Object.values(sentences).join('|');
    const text = await guest.run(`tail -c +${mark + 1} ${LOG} | grep -aE '${words}' || true`);
    return text.split('\n').flatMap((line) => parseNote(line, zone));
  };
  return {
    allocatable,
    since,
    holders: async () => {
      const reading = (await ask('holders')).value as PodResourcesReading;
      return 'unreadable' in reading ? null : reading.holders;
    },
    waitFor: async (wanted, explain, seconds) => {
      const text = JSON.stringify(sortedUnits(wanted));
      await eventually(`kubelet told of ${text}`, allocatable, (units) => JSON.stringify(units) === text, {
        explain,
        ...(seconds === undefined ? {} : { seconds }),
      });
    },
    mark: async () => Number(await guest.run(`wc -c < ${LOG}`)),
    waitForNote: async (what, mark, fits, seconds = 120) => {
      for (const deadline = Date.now() + seconds * 1000; ; await sleep(100)) {
        const notes = await since(mark);
        const found = notes.find(fits);
        if (found !== undefined) return found;
        if (Date.now() > deadline)
          throw new LabError(`${seconds} s went by without ${what} in kubelet's log.`, {
            detail: `${JSON.stringify(notes)}\n${await node.complaints()}`,
          });
      }
    },
    now: async () => (await ask('clock')).at,
    clockAhead: async () => {
      const tries: { readonly took: number; readonly ahead: number }[] = [];
      for (let count = 0; count < 10; count++) {
        const begun = Date.now();
        const { at } = await ask('clock');
        const took = Date.now() - begun;
        tries.push({ took, ahead: at - (begun + took / 2) });
      }
      return tries.reduce((best, one) => (one.took < best.took ? one : best)).ahead;
    },
  };
}

/** Parts of kubelet's sentences (pkg/kubelet/cm/devicemanager of 1.37). */
const sentences: Readonly<Record<KubeletNote['what'], string>> = {
  listed: 'Processed device updates for resource',
  registered: 'Got registration request from device plugin',
  serving: 'Starting device plugin registration server',
  lost: 'ListAndWatch ended unexpectedly',
  allocating: 'Making allocation request for device plugin',
  choosing: 'Issuing a GetPreferredAllocation call',
  starting: 'Issuing a PreStartContainer call',
};

/** klog's header has month, day and time of the local clock, without the year. */
function parseNote(line: string, zone: string): readonly KubeletNote[] {
  const header = /^[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)(\.\d+) /.exec(line);
  const what = (Object.keys(sentences) as KubeletNote['what'][]).find((name) => line.includes(sentences[name]));
  if (header === null || what === undefined) return [];
  const [, month = '', day = '', time = '', fraction = ''] = header;
  const offset = `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const whole = Date.parse(`${new Date().getUTCFullYear()}-${month}-${day}T${time}${offset}`);
  const healthy = /healthyCount=(\d+)/.exec(line)?.[1];
  return [
    {
      at: whole + Number(`0${fraction}`) * 1000,
      what,
      resource: /\bresource(?:Name)?="([^"]+)"/.exec(line)?.[1] ?? null,
      healthy: healthy === undefined ? null : Number(healthy),
    },
  ];
}

function toUnits(devices: readonly { readonly resourceName: string; readonly ids: readonly string[] }[]): Units {
  const ids = new Map<string, readonly string[]>();
  // Kubelet has one entry per resource and NUMA node.
  for (const device of devices.filter(({ resourceName }) => resourceName.startsWith(OURS)))
    ids.set(device.resourceName, [...(ids.get(device.resourceName) ?? []), ...device.ids]);
  return sortedUnits(Object.fromEntries(ids));
}

function sortedUnits(units: Units): Units {
  const names = Object.keys(units).toSorted();
  const entries = names.map((name) => [name, (units[name] ?? []).toSorted()] as const);
  return Object.fromEntries(entries.filter(([, ids]) => ids.length > 0));
}

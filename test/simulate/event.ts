// A history as data: what happens, in order, with everything that was left to chance in the event itself. So events can be dropped
// and the rest still means something.
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';

/** Everything that can happen, with how often. A history has each kind of fault or has it not (swarm testing). */
export const eventKinds = {
  wait: 6,
  setPolicy: 10,
  removePolicy: 5,
  breakPolicy: 2,
  hidePolicies: 3,
  disturbApi: 8,
  createPod: 14,
  deletePod: 5,
  restartContainer: 4,
  openByForeigner: 7,
  closeByForeigner: 4,
  kill: 4,
  stopAgent: 1,
  powerCut: 1,
  reboot: 1,
  rebootWithoutJournal: 1,
  fillDisk: 2,
  readOnlyDisk: 1,
  failProbe: 4,
  lieProbe: 2,
  hangProbe: 5,
  failWrites: 4,
  failModprobe: 2,
  hangModprobe: 2,
  lieModprobe: 2,
  failVirtualFunctions: 3,
  unplug: 3,
  replug: 4,
  replugElsewhere: 2,
  replace: 2,
  mount: 6,
  unmount: 3,
  route: 5,
  ambush: 6,
  unroute: 3,
  draw: 3,
  stopDrawing: 2,
  hideProof: 3,
  restartKubelet: 2,
  stopKubelet: 2,
  forgetPlugin: 2,
  staleAllocate: 2,
  failPodResources: 2,
  failRegister: 1,
  slowKubelet: 2,
  secondAgent: 2,
  jumpClock: 2,
  unbindByHand: 2,
  bindByHand: 2,
  overrideByHand: 2,
} as const;
export type EventKind = keyof typeof eventKinds;

/** One thing that happens. Fractions in [0, 1) choose among what there is when it happens. */
export interface SimulatedEvent {
  readonly kind: EventKind;
  readonly which: number;
  readonly what: number;
  readonly how: number;
  /** It happens at this call of the agent's ports after it is due, in the middle of whatever the agent does; null: between its steps. */
  readonly atCall: number | null;
  /** Milliseconds that pass afterwards. */
  readonly wait: number;
}

const armable = new Set<EventKind>(['kill', 'mount', 'route', 'openByForeigner', 'unplug', 'setPolicy', 'powerCut']);
const always = new Set<EventKind>(['wait', 'setPolicy', 'createPod', 'deletePod', 'kill', 'openByForeigner']);

/** Events in a history, unless told. About a third finds nothing that it could be done to. */
export const eventsPerHistory = 160;

/** The events of a seed. */
export function generateEvents(seed: number, count: number): readonly SimulatedEvent[] {
  const random = createSeededRandom(seed ^ 0x5eed);
  const kinds = (Object.keys(eventKinds) as EventKind[]).filter((kind) => always.has(kind) || random.chance(0.6));
  const total = kinds.reduce((sum, kind) => sum + eventKinds[kind], 0);
  const pick = (): EventKind => {
    let left = random.fraction() * total;
    return kinds.find((kind) => (left -= eventKinds[kind]) < 0) ?? 'wait';
  };
  const begin = (which: number): SimulatedEvent => ({
    kind: 'setPolicy',
    which,
    what: 0,
    how: 0,
    atCall: null,
    wait: 2_000,
  });
  // Every machine loads its VFIO modules once; where that takes long, much can happen in between.
  const slow: SimulatedEvent = {
    kind: 'hangModprobe',
    which: 0,
    what: 0,
    how: random.fraction() * 0.7,
    atCall: null,
    wait: 0,
  };
  const pinned: SimulatedEvent = {
    kind: 'overrideByHand',
    which: random.fraction(),
    what: 0,
    how: 0,
    atCall: null,
    wait: 0,
  };
  const hanging: SimulatedEvent = {
    kind: 'hangProbe',
    which: random.fraction(),
    what: 0,
    how: 0.5 + random.fraction() / 2,
    atCall: null,
    wait: 0,
  };
  const hangs = random.chance(0.2);
  const first = [
    ...(hangs ? [hanging] : []),
    ...(random.chance(0.2) ? [pinned] : []),
    ...(random.chance(0.3) ? [slow] : []),
    begin(random.fraction()),
    begin(random.fraction()),
    // Long enough for the deadline of a write to pass.
    { ...begin(0), wait: hangs ? 80_000 : 2_000 },
  ];
  const rest = Array.from({ length: count - first.length }, () => {
    const kind = pick();
    const pace = random.fraction();
    const wait =
      pace < 0.6
        ? random.below(300)
        : pace < 0.92
          ? random.below(4_000)
          : pace < 0.985
            ? random.below(30_000)
            : 60_000 + random.below(100_000);
    return {
      kind,
      which: random.fraction(),
      what: random.fraction(),
      how: random.fraction(),
      atCall:
        armable.has(kind) && (kind === 'kill' || random.chance(0.5))
          ? 1 + random.below(kind === 'kill' ? 120 : 30)
          : null,
      wait,
    };
  });
  return [...first, ...rest];
}

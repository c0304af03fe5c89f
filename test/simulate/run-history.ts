// Lives one history: the events, then calm, then the end. Calm means that every fault is over; within a bounded time the agent must
// settle and write nothing more. Then all policies go, and the machine must be as if nobody had ever been there.
import type { Decision } from '../../src/domain/decision.ts';
import { eventsPerHistory, generateEvents } from './event.ts';
import type { SimulatedEvent } from './event.ts';
import type { Mutation } from './mutation.ts';
import { clusterPatience } from './cluster.ts';
import { Stage } from './perform-event.ts';
import { createTally } from './tally.ts';
import type { Tally } from './tally.ts';
import { isVfio } from './watch.ts';
import { World } from './world.ts';

/** What came of it. */
export interface HistoryResult {
  /** What was violated; none: it held. */
  readonly violations: readonly string[];
  readonly tally: Tally;
}

/** How it is run. */
export interface HistoryOptions {
  readonly seed: number;
  /** Default: those of the seed. */
  readonly events?: readonly SimulatedEvent[];
  readonly mutation?: Mutation;
  /** Hears everything that happens, line by line. */
  readonly tell?: (line: string) => void;
}

const settleLimit = 1_800_000;

/** Runs it. */
export async function runHistory(options: HistoryOptions): Promise<HistoryResult> {
  const tally = createTally();
  const world = new World({ ...options, tally });
  const stage = new Stage(world);
  const { watch, clock } = world;
  const original = world.kernel.control.snapshot();
  const failed = (): boolean => watch.violations.length > 0;
  const result = (): HistoryResult => ({ violations: watch.violations, tally });
  tally.add('devices', world.machine.addresses.length);
  tally.add('groups', new Set(world.machine.addresses.map((address) => original.groups[address])).size);
  await stage.startKubelet();
  const events = options.events ?? generateEvents(options.seed, eventsPerHistory);
  let policies = 0;
  for (const event of events) {
    world.keepAlive();
    await stage.perform(event);
    await clock.advance(event.wait);
    watch.check();
    watch.onHealthy(healthy(world));
    policies = Math.max(policies, watch.policies.size);
    if (failed()) return result();
  }
  tally.add('policies', policies);

  world.say('calm: every fault is over');
  world.endSeconds();
  await stage.calm();
  // A policy directory that was hidden is looked at every 10 s; an API server that was away is asked again later.
  await clock.advance(world.cluster === null ? 15_000 : clusterPatience);
  if (!(await settle(world))) watch.violate(`it does not settle: ${unsettled(world).join('; ')}`);
  if (failed()) return result();
  const before = watch.writes;
  world.cluster?.takeWrites();
  await clock.advance(35_000);
  const told = waiting(world).length === 0 ? (world.cluster?.takeWrites() ?? []) : [];
  if (told.length > 0) watch.violate(`it tells the API server though nothing changes: ${told.join(', ')}`);
  if (watch.writes !== before && waiting(world).length === 0)
    watch.violate(`${watch.writes - before} writes after it had settled`);
  for (const problem of watch.explain(world.knownBoot)) watch.violate(problem);
  for (const problem of misadvertised(world)) watch.violate(problem);
  if (failed()) return result();

  world.say('the end: no policies');
  for (const name of watch.policies) world.removePolicy(name);
  await clock.advance(world.cluster === null ? 5_000 : 15_000);
  if (!(await settle(world))) watch.violate(`it does not settle without policies: ${unsettled(world).join('; ')}`);
  for (const problem of leftBehind(world)) watch.violate(problem);
  watch.check();
  world.endLife('the history is over', 0);
  return result();
}

/**
 * Lets time pass until nothing is planned and nothing was written for a while. What somebody else's hands were on may wait for a person;
 * it is given all the time there is, and then it does not count.
 */
async function settle(world: World): Promise<boolean> {
  const until = world.clock.monotonic() + settleLimit;
  while (world.clock.monotonic() < until) {
    world.keepAlive();
    const { writes } = world.watch;
    const { passes } = world;
    await world.clock.advance(4_000);
    world.life?.agent?.lookAgain('the simulation asks');
    await world.clock.advance(200);
    if (world.watch.violations.length > 0) return true;
    const still = waiting(world).length > 0 || unsettled(world).length > 0;
    if (!still && world.watch.writes === writes && world.passes > passes) return true;
    if (still) await world.clock.advance(26_000);
  }
  return unsettled(world).length === 0;
}

const waitingKinds = new Set(['Held', 'Failed', 'Stuck', 'Quarantined', 'Bind', 'Release']);

/** Decisions of the last pass that something is still to come of. */
function waiting(world: World): readonly Decision[] {
  const decisions = world.life?.agent?.report?.plan.decisions ?? [];
  return decisions.filter(({ kind }) => waitingKinds.has(kind));
}

/** Why it has not settled; a person's business aside. */
function unsettled(world: World): readonly string[] {
  const agent = world.life?.agent ?? null;
  if (agent === null || !world.agentRuns) return [`the agent does not run: ${world.life?.failed ?? ''}`];
  if (agent.problem !== null) return [agent.problem];
  if (agent.report === null) return ['no pass was finished'];
  const { disturbed } = world.watch;
  const { decisions } = agent.report.plan;
  const hands = new Set(decisions.filter((one) => disturbed.has(one.address)).map((one) => one.iommuGroup));
  return waiting(world).flatMap(({ address, kind, message, iommuGroup }) =>
    disturbed.has(address) || (iommuGroup !== null && hands.has(iommuGroup)) ? [] : [`${address} ${kind}: ${message}`],
  );
}

/** The ids that kubelet believes in. */
function healthy(world: World): readonly string[] {
  if (!world.kubeletRuns) return [];
  return [...world.kubelet.resources().keys()].flatMap((resource) =>
    (world.kubelet.devices(resource) ?? []).filter(({ health }) => health === 'Healthy').map(({ id }) => id),
  );
}

/** Kubelet believes in devices that are not there, or does not know resources that are. */
function misadvertised(world: World): readonly string[] {
  const snapshot = world.kernel.control.snapshot();
  const problems: string[] = [];
  for (const resource of world.kubelet.resources().keys()) {
    // Of a list that has ended kubelet keeps the last message for some minutes, all of it Unhealthy, whoever has the devices by now.
    const isOpen = world.kubelet.socket(resource) !== null;
    for (const { id, health } of world.kubelet.devices(resource) ?? []) {
      if (isOpen && !world.watch.isOffered(id, resource))
        problems.push(`${id} of ${resource} is offered, and was never meant to be`);
      if (health === 'Healthy' && !world.watch.isBound(id))
        problems.push(`${id} of ${resource} is Healthy on ${snapshot.drivers[id] ?? 'no driver'}`);
    }
  }
  for (const status of world.life?.agent?.kubelet.resources ?? []) {
    if (!status.registered) problems.push(`${status.resource} is not registered: ${status.lastError ?? ''}`);
  }
  return problems;
}

/** What differs from a machine that just booted with these devices. */
function leftBehind(world: World): readonly string[] {
  const now = world.kernel.control.snapshot();
  const { disturbed } = world.watch;
  const groups = new Set([...disturbed].map((address) => now.groups[address]));
  const problems: string[] = [];
  for (const [address, driver] of Object.entries(now.drivers)) {
    if (disturbed.has(address) || groups.has(now.groups[address] ?? null)) continue;
    if (isVfio(driver)) problems.push(`${address} is still on ${driver ?? ''}`);
    const override = now.overrides[address] ?? null;
    if (override !== null) problems.push(`${address} still has driver_override ${override}`);
    if (driver === null && !world.watch.bare.has(address) && usualDriver(world, address))
      problems.push(`${address} has no driver`);
  }
  for (const [address, count] of Object.entries(now.virtualFunctions)) {
    if (count > 0 && !disturbed.has(address)) problems.push(`${address} still has ${count} virtual functions`);
  }
  return problems;
}

function usualDriver(world: World, address: string): boolean {
  const spec = world.machine.addresses.includes(address) ? world.slots.get(address) : undefined;
  return spec !== undefined && 'vendor' in spec && spec.vendor !== '1234';
}

// Faults of the simulated API server by seed: one call does one thing, and says in words what it was.
import type { SimulatedApiServer } from './api-server.ts';
import type { SeededRandom } from './seeded-random.ts';

type Disturbance = (server: SimulatedApiServer, random: SeededRandom) => string;

const disturbances: readonly Disturbance[] = [
  ({ faults }) => {
    faults.goAway();
    return 'the API server goes away';
  },
  ({ faults }) => {
    faults.freeze();
    return 'the API server stands still';
  },
  ({ faults }) => {
    faults.comeBack();
    return 'the API server is there again';
  },
  ({ faults }, random) => {
    const milliseconds = random.below(20_000);
    faults.delay(milliseconds);
    return `the API server takes ${milliseconds} ms to answer`;
  },
  ({ faults }, random) => {
    const requests = 1 + random.below(3);
    const seconds = 1 + random.below(20);
    faults.throttle(requests, seconds);
    return `the API server throttles ${requests} requests for ${seconds} s`;
  },
  ({ faults }, random) => {
    const requests = 1 + random.below(3);
    const status = random.pick([401, 403, 404, 500, 502, 503, 504]);
    faults.fail(requests, status);
    return `the API server answers ${requests} requests with ${status}`;
  },
  ({ faults }, random) => {
    const requests = 1 + random.below(2);
    faults.cutAnswers(requests);
    return `${requests} answers of the API server break off`;
  },
  ({ faults }, random) => {
    const requests = 1 + random.below(2);
    faults.losePages(requests);
    return `${requests} pages of lists are gone`;
  },
  ({ faults }, random) => {
    const revisions = 1 + random.below(20);
    const honest = random.chance(0.5);
    faults.serveOld(revisions, honest);
    return `lists are ${revisions} revisions old${honest ? '' : ', and do not say so'}`;
  },
  ({ faults }) => {
    faults.serveOld(0, true);
    return 'lists are new again';
  },
  ({ faults }) => {
    faults.compact();
    return 'the history is compacted away';
  },
  ({ faults }) => {
    faults.compact();
    faults.expireWatches();
    return 'the history is compacted away, and running watches hear of it';
  },
  ({ faults }) => {
    faults.endWatches();
    return 'running watches end';
  },
  ({ faults }) => {
    faults.cutWatches();
    return 'running watches are cut';
  },
  ({ faults }, random) => {
    const count = 1 + random.below(5);
    faults.repeatEvents(count);
    return `running watches get their last ${count} events again`;
  },
  ({ faults }, random) => {
    const line = random.pick(['<html>', '{"type":"MODIFIED"}', '[]', '{"type":"BOOKMARK","object":{}}', '{"type":']);
    faults.garble(line);
    return `running watches get the line ${line}`;
  },
  (server, random) => {
    const revisions = 1 + random.below(50);
    server.skip(revisions);
    return `others write ${revisions} times`;
  },
];

/** Does one of them. `server.faults.heal()` ends what lasts. */
export function disturbApiServer(server: SimulatedApiServer, random: SeededRandom): string {
  return random.pick(disturbances)(server, random);
}

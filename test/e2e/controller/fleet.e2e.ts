// 500 nodes with 64 devices each on a real API server: 10 s after the last node state every policy says what they add up to, by few
// requests and within the memory that the chart grants. 5,000: bench/controller-scale.ts.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '../cluster/control-plane.ts';
import type { Service } from '../cluster/service.ts';
import { permitController, USER } from './controller-lab.ts';
import { measureFleet } from './fleet.ts';

let cluster: ControlPlane;
let running: Service | null = null;

beforeAll(async () => {
  cluster = await startControlPlane({ users: { [USER]: ['operators'] } });
  await permitController(cluster);
});
afterAll(async () => {
  await running?.stop('SIGKILL');
  await cluster?.stop();
});

it('adds up 500 nodes', async () => {
  const size = { nodes: 500, devices: 64, policies: 4 };
  const { figures, controller } = await measureFleet(cluster, size, {}, () => undefined);
  running = controller;
  console.log(JSON.stringify(figures));
  expect(figures.right).toBeLessThan(10_000);
  expect(figures.oneChange).toBeLessThan(10_000);
  expect(figures.mostResident).toBeLessThan(300 * 1024 * 1024);
  expect(figures.successorMost).toBeLessThan(300 * 1024 * 1024);
  const { GET = 0, WATCH = 0, PATCH = 0, PUT = 0 } = figures.requests;
  // Four collections in pages of 100, two looks at the Lease; a watch each; renewals every two seconds.
  expect(GET).toBeLessThan(40);
  expect(WATCH).toBeLessThan(12);
  expect(PATCH).toBeGreaterThan(0);
  expect(PATCH).toBeLessThan(PUT * 4);
});

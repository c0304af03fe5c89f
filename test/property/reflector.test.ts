// Whatever an API server does to a reflector, nothing is removed without proof, and once it is well again the reflector knows the truth.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SimulatedApiServer } from '../../src/simulation/api-server.ts';
import { disturbApiServer } from '../../src/simulation/api-server-disturb.ts';
import { createSeededRandom } from '../../src/simulation/seeded-random.ts';
import { policyObject, watchPolicies, type WatchedPolicies } from '../support/simulated-api.ts';

const names = ['a', 'b', 'c', 'd', 'e'];

type Action =
  | { readonly kind: 'put'; readonly name: string; readonly priority: number }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'disturb'; readonly seed: number }
  | { readonly kind: 'wait'; readonly milliseconds: number };

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('put' as const), name: fc.constantFrom(...names), priority: fc.nat(9) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), name: fc.constantFrom(...names) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('disturb' as const), seed: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('wait' as const), milliseconds: fc.nat(90_000) }) },
);

const minute = 60_000;
/** Revisions by which the server's lists may be behind at most. */
const startsAt = 100;

async function play(
  watched: WatchedPolicies,
  server: SimulatedApiServer,
  step: Action,
  check: () => void,
): Promise<void> {
  switch (step.kind) {
    case 'put':
      server.put('vfiopolicies', policyObject(step.name, step.priority));
      break;
    case 'delete':
      server.delete('vfiopolicies', step.name);
      break;
    case 'disturb':
      disturbApiServer(server, createSeededRandom(step.seed));
      break;
    case 'wait': {
      // In small steps, so that every state on the way is looked at.
      for (let left = step.milliseconds; left > 0; left -= 5000) {
        await watched.clock.advance(Math.min(left, 5000));
        check();
      }
      break;
    }
    default:
      step satisfies never;
  }
  check();
}

describe('a reflector on a server that fails in every way', () => {
  it('removes nothing that was not deleted, goes back in time never, and ends at the truth', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(action, { maxLength: 40, size: 'max' }),
        fc.nat(),
        fc.constantFrom(1, 2, 100),
        fc.constantFrom(1, 9, Infinity),
        async (steps, seed, pageSize, pieceBytes) => {
          const watched = watchPolicies({ seed, pageSize, pieceBytes, startsAt });
          const { server, reflector, clock } = watched;
          /** Names that were deleted at some time: only these may ever be missing again. */
          const deleted = new Set<string>();
          const seen = new Set<string>();
          let version = 0;
          const check = (): void => {
            const { items, resourceVersion } = reflector.state;
            for (const name of seen) if (items?.has(name) !== true) expect(deleted.has(name)).toBe(true);
            for (const name of items?.keys() ?? []) seen.add(name);
            expect(Number(resourceVersion ?? 0)).toBeGreaterThanOrEqual(version);
            version = Number(resourceVersion ?? 0);
            if (items === null) expect(seen.size).toBe(0);
          };
          for (const step of steps) {
            if (step.kind === 'delete' && server.get('vfiopolicies', step.name) !== null) deleted.add(step.name);
            await play(watched, server, step, check);
          }
          server.faults.heal();
          // The longest wait there is: Retry-After of a throttled request, a freeze with a watch of ten minutes, and the back-off.
          await clock.advance(15 * minute);
          check();
          expect(watched.items()).toEqual(watched.truth());
          expect(reflector.state.problem).toBeNull();
          reflector.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('shows only what the server had: every item is a version that existed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30, size: 'max' }), fc.nat(), async (steps, seed) => {
        const watched = watchPolicies({ seed, pageSize: 2, startsAt });
        const existed = new Set<string>();
        const check = (): void => {
          for (const [name, priority] of watched.reflector.state.items ?? [])
            expect(existed).toContain(`${name}=${priority}`);
        };
        for (const step of steps) {
          if (step.kind === 'put') existed.add(`${step.name}=${step.priority}`);
          await play(watched, watched.server, step, check);
        }
        watched.reflector.close();
      }),
      { numRuns: 60 },
    );
  });

  it('asks no more often than its back-off allows, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(), { maxLength: 60, size: 'max' }), fc.nat(), async (seeds, seed) => {
        const watched = watchPolicies({ seed, startsAt });
        const { clock, server } = watched;
        for (const disturbance of seeds) {
          disturbApiServer(server, createSeededRandom(disturbance));
          await clock.advance(1000);
        }
        // A turn is a wait of at least a quarter of a second, then at most a list of one page and a watch.
        expect(server.seen.length).toBeLessThanOrEqual(2 + 8 * seeds.length);
        watched.reflector.close();
      }),
      { numRuns: 60 },
    );
  });
});

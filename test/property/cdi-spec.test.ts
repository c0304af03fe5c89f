import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildAllocation } from '../../src/domain/allocation.ts';
import { buildCdiSpecs, cdiNames } from '../../src/domain/cdi-spec.ts';
import type { AdvertisedDevice, ResourcePool } from '../../src/domain/resource-pool.ts';
import { createCdiFiles } from '../../src/kubelet/cdi-files.ts';
import { createMemoryFiles } from '../../src/simulation/memory-files.ts';
import { cdiViolations, injectCdi } from '../support/cdi-runtime.ts';
import { aFunction, aPool, anAdvertised } from '../support/pools.ts';

// What the CRD's pattern lets through.
const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?$/);
const resources = fc
  .tuple(
    fc.array(label, { minLength: 1, maxLength: 4 }),
    fc.stringMatching(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/),
  )
  .map(([labels, name]) => `${labels.join('.')}/${name}`);

const addresses = fc
  .tuple(fc.integer({ min: 0, max: 0x1_ff_ff }), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 7 }))
  .map(([domain, bus, fn]) => `${domain.toString(16).padStart(4, '0')}:${bus.toString(16).padStart(2, '0')}:00.${fn}`);

const shape = fc.record({
  groupNode: fc.option(fc.integer({ min: 0, max: 5 }).map(String)),
  cdev: fc.option(fc.integer({ min: 0, max: 5 })),
});

const pools: fc.Arbitrary<readonly ResourcePool[]> = fc
  .record({
    names: fc.uniqueArray(resources, { minLength: 1, maxLength: 4 }),
    ids: fc.uniqueArray(addresses, { minLength: 1, maxLength: 8 }),
    shapes: fc.array(shape, { minLength: 8, maxLength: 8 }),
    deviceNodes: fc.constantFrom('Auto' as const, 'Group' as const, 'Cdev' as const, 'Iommufd' as const),
  })
  .map(({ names, ids, shapes, deviceNodes }) => {
    const devices = ids.map((id, index): AdvertisedDevice => {
      const { groupNode = null, cdev = null } = shapes[index] ?? {};
      const functions = [aFunction(id, { vfioDevice: cdev === null ? null : `vfio${cdev}` })];
      return anAdvertised(id, { groupNode, functions });
    });
    return names.map((resource, index) =>
      aPool(
        devices.filter((_, number) => number % names.length === index),
        { resource, deviceNodes, cdi: true },
      ),
    );
  });

describe('CDI documents', () => {
  it('keep to CDI’s rules for every resource name that a policy can have', () => {
    fc.assert(
      fc.property(pools, (given) => {
        expect(buildCdiSpecs(given).flatMap(cdiViolations)).toEqual([]);
      }),
    );
  });

  it('give a container by names what it gets by nodes', async () => {
    await fc.assert(
      fc.asyncProperty(pools, async (given) => {
        const files = createMemoryFiles({ entries: { '/cdi': { directory: {} } } });
        const { problems } = await createCdiFiles(files, '/cdi').offer({ pools: given, inUse: new Set() });
        expect(problems).toEqual([]);
        for (const pool of given) {
          const plain = buildAllocation(pool, pool.devices);
          const named = cdiNames(pool.resource, pool.devices);
          if ('missing' in named) throw new Error(named.missing);
          // A device without its nodes has no answer either way.
          if ('missing' in plain) expect(() => injectCdi(files, '/cdi', named.names)).toThrow('unresolvable');
          else expect(injectCdi(files, '/cdi', named.names)).toEqual(plain.nodes);
        }
      }),
    );
  });
});

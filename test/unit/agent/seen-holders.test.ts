import { expect, it } from 'vitest';
import { rememberHolders } from '../../../src/agent/seen-holders.ts';
import type { Holder } from '../../../src/domain/ledger.ts';
import type { HostObservation, HostObserver } from '../../../src/host/observe-host.ts';
import { emptyLedger } from '../../../src/domain/ledger.ts';
import { buildAliasTable } from '../../../src/domain/alias-table.ts';
import { aCatalog, aDevice, anInventory } from '../../support/builders.ts';

const nothing: HostObservation = {
  inventory: anInventory([
    aDevice({ address: '0000:3b:00.0', iommuGroup: 12 }),
    aDevice({ address: '0000:3b:00.1', iommuGroup: 12 }),
    aDevice({ address: '0000:5e:00.0', iommuGroup: 13 }),
  ]),
  findings: [],
  holders: [],
  aliases: buildAliasTable([]),
  catalog: aCatalog(),
  sources: {
    entries: [],
    table: buildAliasTable([]),
    blacklist: [],
    installs: [],
    available: null,
    vfio: new Set(),
    builtin: null,
    problems: [],
    unread: [],
  },
  silent: new Map(),
  notices: new Map(),
  stuck: [],
  unread: [],
};

it('tells who had a group open at the last look, as soon as that look is over', async () => {
  const looks: (readonly Holder[])[] = [
    [
      { address: '0000:3b:00.0', code: 'HeldByPod', who: 'pod default/vm' },
      { address: '0000:3b:00.1', code: 'HeldByProcess', who: 'process qemu (7) has /dev/vfio/12 open' },
    ],
    [],
  ];
  const observe = (): Promise<HostObservation> => Promise.resolve({ ...nothing, holders: looks.shift() ?? [] });
  const inner: HostObserver = { sources: null, observe };
  const { observer, processHolding } = rememberHolders(inner);
  const look = (): Promise<HostObservation> => observer.observe({ policies: [], ledger: emptyLedger });
  expect(processHolding(12)).toBeNull();
  await look();
  expect(processHolding(12)).toBe('process qemu (7) has /dev/vfio/12 open');
  expect(processHolding(13)).toBeNull();
  expect(processHolding(14)).toBeNull();
  await look();
  expect(processHolding(12)).toBeNull();
});

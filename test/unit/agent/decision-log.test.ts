// One line per decision that changed, none when nothing changed.
import { beforeEach, describe, expect, it } from 'vitest';
import { countDecisions, createDecisionLog } from '../../../src/agent/decision-log.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { plan } from '../../../src/domain/plan.ts';
import type { Logger } from '../../../src/runtime/logger.ts';
import { aLedger, anEntry, anInventory, aPlanInput } from '../../support/builders.ts';
import { nic, onVfio, takeNics } from '../../support/plan-cases.ts';

let lines: string[];
const say = (level: string) => (fields: object, message: string) => {
  const { address, decision, code } = fields as { address: string; decision: string; code?: string | null };
  lines.push(`${level} ${address} ${decision} ${code ?? '-'}: ${message}`);
};
const logger: Logger = {
  debug: say('debug'),
  info: say('info'),
  warn: say('warn'),
  error: say('error'),
  child: () => logger,
};
const decide = (parts: Parameters<typeof aPlanInput>[0]): readonly Decision[] => plan(aPlanInput(parts)).decisions;
const bound = onVfio(nic);
const ledger = aLedger([anEntry(bound)]);

beforeEach(() => {
  lines = [];
});

describe('the log of decisions', () => {
  it('tells a decision once, its change, and its end', () => {
    const log = createDecisionLog(logger);
    const free = decide({ devices: [nic], policies: [takeNics] });
    for (let pass = 0; pass < 3; pass += 1) log.report(free);
    log.report(decide({ devices: [bound], policies: [takeNics], ledger }));
    log.report([]);
    log.report([]);
    expect(lines).toEqual([
      'info 0000:01:00.0 Bind -: from e1000e to vfio-pci for policy p',
      'info 0000:01:00.0 Bound -: on vfio-pci for policy p',
      'info 0000:01:00.0 None -: no policy wants it, and it is not ours',
    ]);
  });

  it('warns of what needs a person', () => {
    const log = createDecisionLog(logger);
    const failures = new Map([['group:1', { message: 'bind said EIO', due: false }]]);
    log.report(decide({ devices: [nic], policies: [takeNics], failures }));
    for (const state of ['Stuck', 'Quarantined'] as const)
      log.report(decide({ devices: [bound], ledger: aLedger([anEntry(bound, { state, detail: 'unbind hangs' })]) }));
    log.report(decide({ devices: [{ ...nic, iommuGroup: null }], policies: [takeNics] }));
    expect(lines.map((line) => line.split(' ').slice(0, 4).join(' '))).toEqual([
      'warn 0000:01:00.0 Failed -:',
      'warn 0000:01:00.0 Stuck Stuck:',
      'warn 0000:01:00.0 Quarantined Quarantined:',
      'info 0000:01:00.0 Refused NoIommu:',
    ]);
  });

  it('warns of a device on VFIO without an IOMMU', () => {
    const bare = { ...bound, iommuGroup: null };
    const inventory = anInventory([bare], { noIommuMode: true });
    const policies = [{ ...takeNics, allow: ['NoIommu'] as const }];
    createDecisionLog(logger).report(decide({ inventory, policies, ledger: aLedger([anEntry(bare)]) }));
    expect(lines).toEqual([
      'warn 0000:01:00.0 Bound -: on vfio-pci for policy p, without an IOMMU: whoever has it reaches all memory of this node',
    ]);
  });

  it('tells the proof anew when it is another one', () => {
    const log = createDecisionLog(logger);
    const refused = (proof: string) =>
      decide({
        devices: [nic],
        policies: [takeNics],
        findings: [{ address: nic.address, code: 'RootStorage', proof }],
      });
    log.report(refused('it is mounted on /'));
    log.report(refused('it is mounted on /'));
    log.report(refused('it is mounted on /data'));
    expect(lines).toHaveLength(2);
  });
});

it('counts devices by decision and code', () => {
  const refused = decide({
    devices: [
      nic,
      { ...nic, address: '0000:02:00.0', iommuGroup: null },
      { ...nic, address: '0000:03:00.0', iommuGroup: null },
    ],
    policies: [takeNics],
  });
  expect(countDecisions(refused)).toEqual([
    { decision: 'Bind', code: '', count: 1 },
    { decision: 'Refused', code: 'NoIommu', count: 2 },
  ]);
  expect(countDecisions([])).toEqual([]);
});

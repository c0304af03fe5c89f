// Transactions as the planner makes them, short to write.
import type { Step, Transaction, TransactionKind, TransactionMember } from '../../src/domain/step.ts';

/** A member; e1000e before, for policy `p`, unless told. */
export function aMember(
  address: string,
  parts: Partial<Omit<TransactionMember, 'identity'>> & {
    readonly driver?: string | null;
    readonly modalias?: string;
  } = {},
): TransactionMember {
  const { driver = 'e1000e', modalias = `pci:${address}`, ...rest } = parts;
  return {
    identity: { address, modalias, driver, iommuGroup: 7 },
    bus: 'pci',
    override: null,
    role: 'Selected',
    policy: 'p',
    policyUid: null,
    onDelete: 'Restore',
    resource: null,
    deviceId: null,
    adopted: false,
    diskSerial: null,
    allow: [],
    ...rest,
  };
}

/** The steps that bind one device to the driver of `module`. */
export function bindSteps(address: string, module: string, previousDriver: string | null = 'e1000e'): readonly Step[] {
  const target = { module, name: null };
  return [
    { kind: 'LoadModule', module },
    { kind: 'SetOverride', bus: 'pci', address, driver: target, previous: null },
    ...(previousDriver === null
      ? []
      : [{ kind: 'Unbind' as const, bus: 'pci' as const, address, driver: previousDriver }]),
    { kind: 'Bind', bus: 'pci', address, driver: target },
  ];
}

/** The steps that give one device back. */
export function releaseSteps(address: string, from: string, expect: string | null): readonly Step[] {
  return [
    { kind: 'SetOverride', bus: 'pci', address, driver: null, previous: from },
    { kind: 'Unbind', bus: 'pci', address, driver: from },
    { kind: 'Probe', bus: 'pci', address, expect },
  ];
}

/** A transaction of one group. */
export function aTransaction(
  kind: TransactionKind,
  members: readonly TransactionMember[],
  steps: readonly Step[],
  key = 'group:7',
): Transaction {
  return { key, kind, group: key.startsWith('group:') ? Number(key.slice(6)) : null, members, steps };
}

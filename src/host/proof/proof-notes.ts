// What one pass of proofs has noted so far: findings, holders, sources that could not be read. One finding per device and code; the
// first proof is kept whole and the others are counted, so that a disk with a thousand mounts gives one sentence.
import type { Finding, RefusalCode } from '../../domain/codes.ts';
import { compareAddresses, type Unread } from '../../domain/device.ts';
import type { Holder } from '../../domain/ledger.ts';

/** The result of a pass. Sorted by address, then code; `unread` in the order of reading. */
export interface Proofs {
  readonly findings: readonly Finding[];
  readonly holders: readonly Holder[];
  readonly unread: readonly Unread[];
}

/** Collects notes. */
export interface ProofNotes {
  /** Each of the devices is refused with this code, and `proof` shows why. */
  refuse(addresses: Iterable<string>, code: RefusalCode, proof: string): void;
  /** A source is blind: what it could have shown about these devices is unproven, and `source` is listed as unread. */
  blind(addresses: Iterable<string>, source: string, why: string): void;
  /** A process uses each of the devices. */
  hold(addresses: Iterable<string>, who: string): void;
  /** Whether the device has this finding already. */
  has(address: string, code: RefusalCode): boolean;
  result(): Proofs;
}

// A person reads these; which three of thirty reasons does not matter.
const shownReasons = 3;

/** An empty note book for one pass. */
export function createProofNotes(): ProofNotes {
  const findings = new Map<string, Map<RefusalCode, Set<string>>>();
  const holders = new Map<string, Set<string>>();
  const unread = new Map<string, Unread>();
  const refuse = (addresses: Iterable<string>, code: RefusalCode, proof: string): void => {
    for (const address of addresses) {
      let codes = findings.get(address);
      if (codes === undefined) findings.set(address, (codes = new Map()));
      const proofs = codes.get(code);
      if (proofs === undefined) codes.set(code, new Set([proof]));
      else proofs.add(proof);
    }
  };
  return {
    refuse,
    blind: (addresses, source, why) => {
      refuse(addresses, 'Unproven', `${source}: ${why}`);
      if (!unread.has(`${source} ${why}`)) unread.set(`${source} ${why}`, { source, why });
    },
    hold: (addresses, who) => {
      for (const address of addresses) {
        const known = holders.get(address);
        if (known === undefined) holders.set(address, new Set([who]));
        else known.add(who);
      }
    },
    has: (address, code) => findings.get(address)?.has(code) ?? false,
    result: () => ({
      findings: [...findings].sort(byAddress).flatMap(([address, codes]) =>
        [...codes]
          .sort(([a], [b]) => compareAddresses(a, b))
          .map(([code, proofs]) => ({
            address,
            code,
            proof: toSentence(proofs, code === 'Unproven' ? shownReasons : 1),
          })),
      ),
      holders: [...holders]
        .sort(byAddress)
        .flatMap(([address, all]) => [...all].map((who) => ({ address, code: 'HeldByProcess' as const, who }))),
      unread: [...unread.values()],
    }),
  };
}

function byAddress([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return compareAddresses(a, b);
}

function toSentence(proofs: ReadonlySet<string>, shown: number): string {
  const sentence = [...proofs].slice(0, shown).join('; ');
  return proofs.size > shown ? `${sentence} (and ${proofs.size - shown} more)` : sentence;
}

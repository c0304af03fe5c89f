// A directory of policy files and a state directory on the real disk, with the policy directory opened on them by a clock of the test's.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPolicyDirectory } from '../../src/agent/policy-directory.ts';
import type { PolicyDirectory, PolicySnapshot } from '../../src/agent/policy-directory.ts';
import { createFiles } from '../../src/runtime/files-adapter.ts';
import type { Clock, Files } from '../../src/runtime/ports.ts';
import { createVirtualClock } from '../../src/simulation/virtual-clock.ts';
import type { VirtualClock } from '../../src/simulation/virtual-clock.ts';

/** One test's directories. */
export interface PolicyHome {
  readonly path: string;
  readonly directory: string;
  readonly keptFile: string;
  put(name: string, text: string): void;
  drop(name: string): void;
  /** Opens the policy directory; closed with the home. */
  open(parts?: {
    readonly clock?: Clock;
    readonly onChange?: (snapshot: PolicySnapshot) => void;
    readonly files?: Files;
    readonly directory?: string;
  }): Promise<PolicyDirectory>;
  close(): Promise<void>;
}

/** Makes both directories, empty. */
export function createPolicyHome(): PolicyHome {
  const path = mkdtempSync(join(tmpdir(), 'policy-directory-'));
  const directory = join(path, 'policies');
  const keptFile = join(path, 'state', 'policies.json');
  mkdirSync(directory);
  mkdirSync(join(path, 'state'));
  const opened: PolicyDirectory[] = [];
  return {
    path,
    directory,
    keptFile,
    put: (name, text) => writeFileSync(join(directory, name), text),
    drop: (name) => rmSync(join(directory, name)),
    async open(parts = {}) {
      const defaults = { files: createFiles(), clock: createVirtualClock(), directory, keptFile, onChange: () => {} };
      const result = await openPolicyDirectory({ ...defaults, ...parts });
      opened.push(result);
      return result;
    },
    async close() {
      for (const each of opened) await each.close();
      rmSync(path, { recursive: true });
    },
  };
}

/** The text of a policy for one vendor, 5 lines. */
export function policyText(name: string, vendor = '15b3'): string {
  return `apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\nmetadata: { name: ${name} }\nspec:\n  devices: [{ vendor: "${vendor}" }]\n`;
}

/** Names and vendors in force, and whether the set is complete. */
export function inForce({ current: { set } }: PolicyDirectory): string {
  const policies = set.policies.map(({ name, devices }) => `${name}=${devices[0]?.vendor ?? ''}`);
  return [...policies, ...(set.complete ? [] : ['incomplete'])].join(' ');
}

/** Where the problems are: `a.yaml:5 spec.devices`. */
export function problemsOf({ current }: PolicyDirectory): readonly string[] {
  return current.problems.map(({ file, line, path }) =>
    `${file.slice(file.lastIndexOf('/') + 1)}:${line} ${path}`.trim(),
  );
}

/** Looks, and looks again after what is missing has been missing long enough. */
export async function lookTwice(policies: PolicyDirectory, clock: VirtualClock): Promise<void> {
  await policies.look();
  await clock.advance(1_000);
  await policies.look();
}

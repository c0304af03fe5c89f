// Everything that is fuzzed.
import { aliasFileTarget } from './alias-file-target.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { grpcTarget } from './grpc-target.ts';
import { journalTarget } from './journal-target.ts';
import { modaliasTarget } from './modalias-target.ts';
import { policyTarget } from './policy-target.ts';
import { sysfsTarget } from './sysfs-target.ts';

export const targets: readonly FuzzTarget[] = [
  modaliasTarget,
  aliasFileTarget,
  policyTarget,
  journalTarget,
  grpcTarget,
  sysfsTarget,
];

// `match`: the alias algorithm's evidence for one device, or for a modalias of a device that this machine does not have.
import { chooseDriver } from '../domain/choose-driver.ts';
import { buses, type Bus } from '../domain/device.ts';
import type { AliasEntry, AliasOrigin, Candidate, DriverChoice } from '../domain/driver-choice.ts';
import { observeIdentity } from '../host/observe-device.ts';
import { readAliasFile, readHostAliases } from './alias-evidence.ts';
import { printAnswer, type CliParts, type OutputFormat } from './cli-parts.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import { parseMatchSubject } from './match-subject.ts';
import { openHost, type HostOptions, type OpenHost } from './open-host.ts';
import { renderMatch } from './render-match.ts';
import { renderUnread, toUnread } from './render-unread.ts';

export interface MatchOptions extends HostOptions {
  /** An address or a modalias. */
  readonly subject: string;
  /** A modules.alias file to read instead of the host's; null: the host's. */
  readonly aliases: string | null;
  /** Policies whose declared aliases compete too; null: none. */
  readonly policies: string | null;
  readonly output: OutputFormat;
}

/** A candidate as printed. */
export interface CandidateView {
  /** Module name in underscore form. */
  readonly module: string;
  /** As read; empty for a generic driver that no alias named. */
  readonly pattern: string;
  /** Number of `*` in the pattern. */
  readonly wildcards: number;
  readonly origin: AliasOrigin;
  /** From 1; 0 where nothing was read. */
  readonly line: number;
}

/** The answer, as `-o json` prints it. */
export interface MatchAnswer {
  /** As read, without `vfio_`; null for a device that has none. */
  readonly modalias: string | null;
  /** Best first. */
  readonly candidates: readonly CandidateView[];
  readonly chosen: CandidateView | null;
  /** No alias names a module, and the bus's generic one serves. */
  readonly fallback: boolean;
  /** Another module's alias has as few wildcards as the chosen one. */
  readonly tie: boolean;
}

/** The command. `notFound` for an address that no device has. */
export async function runMatch(options: MatchOptions, parts: CliParts): Promise<ExitCode> {
  const host = openHost(parts.files, options);
  const { bus, modalias } = findModalias(options.subject, parts, host);
  const evidence =
    options.aliases === null ? readHostAliases(parts.files, host) : readAliasFile(parts.files, options.aliases);
  const policyAliases = options.policies === null ? [] : await readDeclaredAliases(parts, options.policies);
  const choice = chooseDriver({ bus, modalias }, evidence.table, evidence.catalog, { policyAliases });
  const unread = [...(options.aliases === null ? host.unread : []), ...evidence.unread, ...toUnread(evidence.problems)];
  const { paint } = parts.terminal;
  await printAnswer(parts, options.output, toMatchAnswer(modalias, choice), () => renderMatch(modalias, choice, paint));
  const notes = renderUnread(unread, paint);
  if (notes !== '') parts.terminal.note(options.output === 'table' ? `\n${notes}` : notes);
  return exitCodes.ok;
}

/** The answer's data. */
export function toMatchAnswer(modalias: string | null, choice: DriverChoice): MatchAnswer {
  return {
    modalias,
    candidates: choice.candidates.map(toCandidateView),
    chosen: choice.chosen === null ? null : toCandidateView(choice.chosen),
    fallback: choice.fallback,
    tie: choice.tie,
  };
}

function toCandidateView({ module, pattern, wildcards, origin, line }: Candidate): CandidateView {
  return { module, pattern, wildcards, origin, line };
}

function findModalias(
  subject: string,
  { files }: CliParts,
  { paths }: OpenHost,
): { readonly bus: Bus; readonly modalias: string | null } {
  const parsed = parseMatchSubject(subject);
  if (parsed.kind === 'Modalias') return parsed;
  for (const bus of buses) {
    const identity = observeIdentity({ files, paths }, bus, parsed.address);
    if (identity !== null) return { bus, modalias: identity.modalias };
  }
  throw new CommandFailed(
    exitCodes.notFound,
    `there is no device ${parsed.address} on ${buses.map((bus) => paths.busDevices(bus)).join(', ')}; ` +
      'for a device of another machine give its modalias, which begins with pci:, cdx:, fsl-mc:, platform:, of: or acpi:',
  );
}

async function readDeclaredAliases(parts: CliParts, directory: string): Promise<readonly AliasEntry[]> {
  const [{ readPolicies }, { declaredEntries }] = await Promise.all([
    import('./read-policies.ts'),
    import('../domain/choose-target.ts'),
  ]);
  return readPolicies(parts.files, directory).flatMap(({ policy }) => declaredEntries(policy));
}

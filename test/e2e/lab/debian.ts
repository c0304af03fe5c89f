// Debian's archive by a private apt configuration: the system's sources, lists and installed packages stay untouched.
// Packages are found through metapackages at run time, because versions move within weeks; apt checks every download
// against the archive's signatures.

import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheRoot, scratchDirectory } from './cache.ts';
import { attempt, run } from './command.ts';
import { LabError, say } from './lab-error.ts';

/** A Debian release and the suites of it that the lab reads; a suite with `?` may be absent from the mirror. */
export interface Release {
  readonly name: string;
  readonly suites: readonly string[];
}

export const BOOKWORM: Release = {
  name: 'bookworm',
  suites: ['bookworm', 'bookworm-updates', 'bookworm-security', 'bookworm-backports'],
};
export const BULLSEYE: Release = { name: 'bullseye', suites: ['bullseye', 'bullseye-security?'] };

/** An opened archive: package lists are read, packages can be asked for. */
export interface Archive {
  readonly release: Release;
  /** Arguments that point apt-get and apt-cache at the private configuration. */
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const UNREACHABLE =
  "check that this machine's apt works (apt-get update) and that its mirror has this suite; if the mirror has moved on " +
  'to another version, VFIO_LAB_REFRESH=1 takes that one';

const opened = new Map<string, Promise<Archive>>();

/** Opens `release`, once per process: writes a private configuration and reads the newest package lists. */
export function openArchive(release: Release): Promise<Archive> {
  const archive = opened.get(release.name) ?? open(release);
  opened.set(release.name, archive);
  return archive;
}

async function open(release: Release): Promise<Archive> {
  const directory = scratchDirectory(join(cacheRoot(), 'apt'), `${release.name}-`);
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  for (const part of ['lists/partial', 'cache/archives/partial', 'empty']) {
    mkdirSync(join(directory, part), { recursive: true });
  }
  writeFileSync(join(directory, 'status'), '');
  writeFileSync(join(directory, 'apt.conf'), configuration(directory));
  const archive: Archive = { release, directory, environment: { APT_CONFIG: join(directory, 'apt.conf') } };
  say(`reading Debian's package lists of ${release.name}`);
  const missing = await update(archive, release.suites);
  const optional = release.suites.filter((suite) => suite.endsWith('?')).map((suite) => suite.slice(0, -1));
  if (missing === undefined) return archive;
  const droppable = optional.filter((suite) => missing.includes(suite));
  if (droppable.length > 0) {
    say(`${droppable.join(', ')} cannot be read from the mirror, going on without`);
    const rest = release.suites.filter((suite) => !droppable.includes(suite.replace('?', '')));
    const still = await update(archive, rest);
    if (still === undefined) return archive;
    throw new LabError(`The package lists of ${release.name} cannot be read.`, { detail: still, hint: UNREACHABLE });
  }
  throw new LabError(`The package lists of ${release.name} cannot be read.`, { detail: missing, hint: UNREACHABLE });
}

/** Runs apt-get update for `suites`; returns apt's complaint, or nothing when all went well. */
async function update(archive: Archive, suites: readonly string[]): Promise<string | undefined> {
  const mirrors = systemMirrors();
  const trust = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  const lines = suites.map((entry) => {
    const suite = entry.replace('?', '');
    return `deb ${trust}${suite.endsWith('-security') ? mirrors.security : mirrors.main} ${suite} main`;
  });
  writeFileSync(join(archive.directory, 'sources.list'), `${lines.join('\n')}\n`);
  const options = { env: archive.environment, hint: 'the lab needs apt; run it on Debian or a derivative' };
  const outcome = await attempt(['apt-get', '-q', '-o', 'APT::Update::Error-Mode=any', 'update'], options);
  return outcome.code === 0 ? undefined : `${outcome.stdout}\n${outcome.stderr}`;
}

function configuration(directory: string): string {
  const own = `
Dir::State "${directory}/state";
Dir::State::Lists "${directory}/lists";
Dir::State::status "${directory}/status";
Dir::Cache "${directory}/cache";
Dir::Etc::sourcelist "${directory}/sources.list";
Dir::Etc::sourceparts "${directory}/empty";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "${directory}/empty";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi::DefaultEnabled "false";
`;
  return own.trimStart();
}

/** The mirrors this machine's own apt uses for Debian, read from its sources. */
function systemMirrors(): { readonly main: string; readonly security: string } {
  const parts = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list'];
  if (existsSync(parts)) files.push(...readdirSync(parts).map((name) => join(parts, name)));
  const uris = files
    .filter((path) => existsSync(path) && /\.(list|sources)$/.test(path))
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .filter((line) => !line.trimStart().startsWith('#'))
    .flatMap((line) => line.match(/\b(?:https?|mirror\+\S+|file):\/?\/?[^\s\]]+/g) ?? [])
    .map((uri) => uri.replace(/\/+$/, ''));
  const main = uris.find((uri) => uri.endsWith('/debian'));
  if (main === undefined) {
    throw new LabError(`No Debian mirror is named in ${files.join(', ')}.`, {
      hint: 'run the lab on Debian, or add a source whose URI ends in /debian',
    });
  }
  return { main, security: uris.find((uri) => uri.endsWith('/debian-security')) ?? `${main}-security` };
}

/** One version of a package: its control fields by name. */
export type PackageRecord = Readonly<Record<string, string>>;

/** The newest version of `name` that any of `suites` offers, or nothing; fields as in Debian's control format. */
export async function newestPackage(
  archive: Archive,
  name: string,
  suites: readonly string[],
): Promise<PackageRecord | undefined> {
  let newest: PackageRecord | undefined;
  for (const suite of suites) {
    const shown = await attempt(['apt-cache', 'show', '--no-all-versions', `${name}/${suite}`], {
      env: archive.environment,
    });
    const record = shown.code === 0 ? parseRecord(shown.stdout) : undefined;
    if (record === undefined) continue;
    if (newest === undefined || (await isNewer(record, newest))) newest = record;
  }
  return newest;
}

async function isNewer(left: PackageRecord, right: PackageRecord): Promise<boolean> {
  const versions = [left['Version'] ?? '', 'gt', right['Version'] ?? ''];
  return (await attempt(['dpkg', '--compare-versions', ...versions])).code === 0;
}

function parseRecord(text: string): PackageRecord | undefined {
  const fields = text
    .split('\n\n')[0]
    ?.split('\n')
    .map((line) => line.match(/^([A-Za-z0-9-]+): (.*)$/))
    .flatMap((match) => (match?.[1] === undefined ? [] : [[match[1], match[2] ?? ''] as const]));
  return fields === undefined || fields.length === 0 ? undefined : Object.fromEntries(fields);
}

/** The names in a Depends field with their exact version where it demands one (`a (= 1), b | c` gives a and b). */
export function dependencies(record: PackageRecord): readonly { readonly name: string; readonly version?: string }[] {
  return (record['Depends'] ?? '').split(',').flatMap((clause) => {
    const match = clause.trim().match(/^([a-z0-9][a-z0-9+.-]*)(?::\w+)?(?: \((?:>?=) ([^)]+)\))?/);
    if (match?.[1] === undefined) return [];
    return [match[2] === undefined ? { name: match[1] } : { name: match[1], version: match[2] }];
  });
}

/** Downloads exactly these packages (`name=version`) and unpacks them over each other into `target`. */
export async function unpackPackages(archive: Archive, packages: readonly string[], target: string): Promise<void> {
  const debs = join(target, '.debs');
  mkdirSync(debs, { recursive: true });
  say(`downloading ${packages.join(' ')}`);
  await run(['apt-get', '-q', 'download', ...packages], { cwd: debs, env: archive.environment, hint: UNREACHABLE });
  await unpackAll(debs, target);
}

/** Downloads `packages` and all they depend on, as if nothing were installed, and unpacks it all into `target`. */
export async function unpackClosure(
  archive: Archive,
  suite: string,
  packages: readonly string[],
  target: string,
): Promise<void> {
  const debs = join(target, '.debs');
  mkdirSync(join(debs, 'partial'), { recursive: true });
  say(`downloading ${packages.join(' ')} and what they need, from ${suite}`);
  await run(
    [
      'apt-get',
      '-q',
      '-y',
      '-o',
      `Dir::Cache::archives=${debs}`,
      '-t',
      suite,
      '--download-only',
      'install',
      ...packages,
    ],
    { env: archive.environment, hint: UNREACHABLE },
  );
  await unpackAll(debs, target);
}

async function unpackAll(debs: string, target: string): Promise<void> {
  const files = readdirSync(debs).filter((name) => name.endsWith('.deb'));
  say(`unpacking ${files.length} packages`);
  for (const file of files) await run(['dpkg-deb', '-x', join(debs, file), target]);
  rmSync(debs, { recursive: true, force: true });
}

/** The version of every package named `name` that lies in a Debian version string, safe as a directory name. */
export function directoryName(version: string): string {
  return version.replace(/^\d+:/, '').replace(/[^A-Za-z0-9.+~-]/g, '_');
}

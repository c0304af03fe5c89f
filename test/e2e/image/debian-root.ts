// The root directory of a small Debian, made of packages without running any of their scripts, with the records by which dpkg-query and
// scanners know what is in it. Enough to run programs in, not a Debian to install into.

import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lab/command.ts';
import { BOOKWORM, openArchive } from '../lab/debian.ts';
import { say } from '../lab/lab-error.ts';

/** Downloads `packages` of bookworm with all they depend on, as if nothing were installed, and lays them out in `target`. */
export async function layOutDebian(packages: readonly string[], target: string): Promise<void> {
  const archive = await openArchive(BOOKWORM);
  const debs = join(target, '.debs');
  mkdirSync(join(debs, 'partial'), { recursive: true });
  say(`downloading ${packages.join(' ')} and what they need`);
  await run(['apt-get', '-q', '-y', '-o', `Dir::Cache::archives=${debs}`, '--download-only', 'install', ...packages], {
    env: archive.environment,
    hint: "check that this machine's apt works (apt-get update)",
  });
  const records = join(target, 'var/lib/dpkg');
  mkdirSync(join(records, 'info'), { recursive: true });
  writeFileSync(join(records, 'status'), '');
  // The layout whose file lists are named with the architecture where a package can be there for several.
  writeFileSync(join(records, 'info/format'), '1\n');
  const files = readdirSync(debs).filter((name) => name.endsWith('.deb'));
  say(`unpacking ${files.length} packages`);
  for (const file of files) await unpack(join(debs, file), target, records);
  rmSync(debs, { recursive: true });
}

/** Unpacks one package and records it as dpkg(1) does: a paragraph in `status`, its paths in `info/NAME.list`. */
async function unpack(file: string, target: string, records: string): Promise<void> {
  await run(['dpkg-deb', '-x', file, target]);
  const control = await run(['dpkg-deb', '-f', file]);
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(control)?.[1] ?? '';
  const [name, architecture] = [field('Package'), field('Architecture')];
  appendFileSync(join(records, 'status'), `${control.trimEnd().replace('\n', '\nStatus: install ok installed\n')}\n\n`);
  const listed = field('Multi-Arch') === 'same' ? `${name}:${architecture}` : name;
  const contents = await run(['dpkg-deb', '-c', file]);
  const paths = contents.split('\n').flatMap((line) => {
    const path = /^.{10} \S+ +\d+ \S+ \S+ \.(\/.*?)\/?(?: -> .*)?$/.exec(line)?.[1];
    return path === undefined ? [] : [path === '/' ? '/.' : path];
  });
  writeFileSync(join(records, 'info', `${listed}.list`), `${paths.join('\n')}\n`);
}

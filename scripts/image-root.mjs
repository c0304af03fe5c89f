// Lays out the root of the container image: `node scripts/image-root.mjs DIRECTORY`, run by the Dockerfile in its Debian build stage after
// scripts/build.mjs. What goes in: dist/, the pinned Node, the programs that the agent starts, every library these need, the licences of it
// all, and Debian's records of the packages, by which scanners know the versions.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const [target = ''] = process.argv.slice(2);
if (target === '') {
  process.stderr.write('usage: image-root.mjs DIRECTORY\n');
  process.exit(2);
}

/** What the agent starts: nsenter moves the kernel worker out of the pod's cgroup, chroot runs the host's modprobe; env serves main.mjs. */
const programs = ['/usr/bin/nsenter', '/usr/sbin/chroot', '/usr/bin/env'];
const nodePackage = join(repository, 'node_modules', `node-linux-${process.arch}`);

for (const directory of ['bin', 'sbin', 'lib', 'lib64']) {
  mkdirSync(join(target, 'usr', directory), { recursive: true });
  symlinkSync(join('usr', directory), join(target, directory));
}
const node = join(nodePackage, 'bin', 'node');
copy(node, '/usr/local/bin/node');
copy(join(nodePackage, 'LICENSE'), '/usr/share/doc/node/copyright');
const files = new Set([...programs, ...[node, ...programs].flatMap(librariesOf)]);
for (const file of files) copy(file, file);
for (const name of new Set([...files].map(packageOf))) recordPackage(name);
copyProgram();

/**
 * The libraries a program is started with, its loader among them: the loader itself tells (ld.so(8), LD_TRACE_LOADED_OBJECTS).
 * @param {string} program
 */
function librariesOf(program) {
  const lines = run(program, [], { LD_TRACE_LOADED_OBJECTS: '1' }).split('\n');
  return lines.flatMap((line) => {
    if (line.includes('not found')) throw new Error(`${program} lacks a library: ${line.trim()}`);
    const path = /(?:=> |^\s*)(\/\S+) \(0x/.exec(line)?.[1];
    return path === undefined ? [] : [path];
  });
}

/**
 * Copies one file, whatever links lead to it, to where it lies on a system with merged /usr.
 * @param {string} from
 * @param {string} to
 */
function copy(from, to) {
  const place = join(target, to.replace(/^\/(bin|sbin|lib|lib64)\//, '/usr/$1/'));
  mkdirSync(dirname(place), { recursive: true });
  copyFileSync(realpathSync(from), place);
}

/**
 * The Debian package that a file belongs to. Its database has the path the package shipped, with or without /usr.
 * @param {string} file
 */
function packageOf(file) {
  const real = realpathSync(file);
  const places = [file, real].flatMap((path) => [path, path.replace(/^\/usr/, ''), `/usr${path}`]);
  for (const place of places) {
    const { status, stdout } = spawnSync('dpkg-query', ['-S', place], { encoding: 'utf8' });
    const name = stdout?.split(/:(?:\w+:)? /)[0];
    if (status === 0 && name !== undefined && name !== '') return name;
  }
  throw new Error(`${file} belongs to no Debian package: the build image must be Debian's or made of its packages`);
}

/** @param {string} name */
function recordPackage(name) {
  const directory = join(target, 'var/lib/dpkg/status.d');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), run('dpkg-query', ['-s', name]));
  const copyright = `/usr/share/doc/${name}/copyright`;
  if (existsSync(copyright)) copy(copyright, copyright);
}

/** dist/ as /app, started as `vfio-operator`, with the licences of what is bundled in it. */
function copyProgram() {
  mkdirSync(join(target, 'app'), { recursive: true });
  copyFileSync(join(repository, 'package.json'), join(target, 'app/package.json'));
  cpSync(join(repository, 'dist'), join(target, 'app/dist'), { recursive: true });
  chmodSync(join(target, 'app/dist/main.mjs'), 0o755);
  symlinkSync('/app/dist/main.mjs', join(target, 'usr/local/bin/vfio-operator'));
  copy(join(repository, 'LICENSE'), '/usr/share/doc/vfio-operator/copyright');
  const { packages } = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8'));
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '' || entry.dev === true || entry.optional === true || !existsSync(join(repository, path))) continue;
    const licences = readdirSync(join(repository, path)).filter((name) => /^(licen[cs]e|notice|copying)/i.test(name));
    for (const name of licences) {
      const place = path.slice('node_modules/'.length).replaceAll('/', '_');
      copy(join(repository, path, name), `/usr/share/doc/vfio-operator/bundled/${place}/${basename(name)}`);
    }
  }
}

/**
 * @param {string} command
 * @param {readonly string[]} parameters
 * @param {Readonly<Record<string, string>>} [environment]
 */
function run(command, parameters, environment = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, parameters, {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  });
  if (status !== 0) throw new Error(`${command} ${parameters.join(' ')} failed: ${error?.message ?? stderr}`);
  return stdout;
}

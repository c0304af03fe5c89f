// The real file system behind the `Files` port. Reading is synchronous; everything that writes waits for the disk. Every failure
// becomes a `FileError` with the errno's name.
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileError, type FileKind, type FileStat, type Files, type LogFile } from './ports.ts';

const defaultMaxBytes = 16 * 1024 * 1024;
const chunkBytes = 64 * 1024;

/** The machine's files. */
export function createFiles(): Files {
  let temporary = 0;
  return {
    readText: (path, maxBytes = defaultMaxBytes) =>
      attempt('read', path, () => withDescriptor(path, (fd) => readToEnd(fd, maxBytes))),
    readBytes: (path, offset, length) =>
      attempt('read', path, () => withDescriptor(path, (fd) => readAt(fd, offset, length))),
    readLink: (path) => attempt('readlink', path, () => fs.readlinkSync(path)),
    list: (path) => attempt('readdir', path, () => fs.readdirSync(path)),
    stat: (path) => attempt('stat', path, () => toFileStat(fs.statSync(path))),
    linkStat: (path) => attempt('lstat', path, () => toFileStat(fs.lstatSync(path))),
    realPath: (path) => attempt('realpath', path, () => fs.realpathSync.native(path)),

    makeDirectory: (path, mode) =>
      attemptLater('mkdir', path, async () => void (await fs.promises.mkdir(path, { recursive: true, mode }))),
    openLog: (path, options) =>
      attemptLater('open', path, async () => {
        const truncate = options.truncate ? fs.constants.O_TRUNC : 0;
        const flags = fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_APPEND | truncate;
        return toLogFile(path, await fs.promises.open(path, flags, 0o600));
      }),
    createExclusive: (path, text) =>
      attemptLater('create', path, async () => {
        temporary += 1;
        const finished = join(dirname(path), `.${basename(path)}.${process.pid}.${temporary}`);
        try {
          await writeDurably(finished, text);
          await fs.promises.link(finished, path);
        } finally {
          await fs.promises.rm(finished, { force: true });
        }
        await syncDirectory(dirname(path));
      }),
    rename: (from, to) => attemptLater('rename', from, () => fs.promises.rename(from, to)),
    remove: (path) => attemptLater('unlink', path, () => fs.promises.unlink(path)),
    syncDirectory: (path) => attemptLater('fsync', path, () => syncDirectory(path)),
    watch: (directory, onChange) =>
      attempt('watch', directory, () => {
        const watcher = fs.watch(directory, { persistent: false }, (_event, name) => onChange(name));
        // A watch that breaks later only stops reporting: it is an accelerator, and a listener keeps the error from being thrown.
        watcher.on('error', () => watcher.close());
        return { close: () => watcher.close() };
      }),
  };
}

function withDescriptor<T>(path: string, use: (fd: number) => T): T {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
}

// Almost every file is an attribute of a few bytes. A chunk of its own for each of the thousands that a look reads would pile up outside
// the heap until the next collection, and malloc gives little of such a peak back. Reading is synchronous: one chunk serves all.
const chunk = Buffer.allocUnsafeSlow(chunkBytes);

// The size that stat gives for sysfs (4096) and procfs (0) says nothing, so we read until the end.
function readToEnd(fd: number, maxBytes: number): string {
  const full: Buffer[] = [];
  let total = 0;
  let filled = 0;
  while (total < maxBytes) {
    const count = fs.readSync(fd, chunk, filled, Math.min(chunkBytes - filled, maxBytes - total), null);
    if (count === 0) break;
    total += count;
    filled += count;
    if (filled < chunkBytes) continue;
    full.push(Buffer.from(chunk));
    filled = 0;
  }
  if (full.length === 0) return chunk.toString('utf8', 0, filled);
  return Buffer.concat([...full, chunk.subarray(0, filled)], total).toString('utf8');
}

function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let total = 0;
  while (total < length) {
    const count = fs.readSync(fd, bytes, total, length - total, offset + total);
    if (count === 0) break;
    total += count;
  }
  return bytes.subarray(0, total);
}

function toLogFile(path: string, handle: fs.promises.FileHandle): LogFile {
  return {
    append: (text) =>
      attemptLater('append', path, async () => {
        const bytes = Buffer.from(text, 'utf8');
        // A full disk may take a part: writing the rest then brings out the errno.
        for (let done = 0; done < bytes.length;) {
          done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
        }
      }),
    sync: () => attemptLater('fsync', path, () => handle.sync()),
    truncate: (bytes) => attemptLater('truncate', path, () => handle.truncate(bytes)),
    close: () => attemptLater('close', path, () => handle.close()),
  };
}

async function writeDurably(path: string, text: string): Promise<void> {
  const handle = await fs.promises.open(path, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function toFileStat(stat: fs.Stats): FileStat {
  const kind = toKind(stat);
  return {
    kind,
    inode: stat.ino,
    device: stat.dev,
    node: kind === 'char' || kind === 'block' ? toNodeNumber(stat.rdev) : null,
    size: stat.size,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    modifiedAt: stat.mtimeMs,
    changedAt: stat.ctimeMs,
  };
}

function toKind(stat: fs.Stats): FileKind {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'link';
  if (stat.isCharacterDevice()) return 'char';
  if (stat.isBlockDevice()) return 'block';
  if (stat.isSocket()) return 'socket';
  if (stat.isFIFO()) return 'fifo';
  return 'file';
}

// glibc's encoding of dev_t (gnu_dev_major(3)): 12 bits of the major and 8 of the minor below 2^20, the rest above.
function toNodeNumber(rdev: number): string {
  const device = BigInt(rdev);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn & 0xffffffffn);
  return `${major}:${minor}`;
}

function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw toFileError(operation, path, error);
  }
}

async function attemptLater<T>(operation: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toFileError(operation, path, error);
  }
}

function toFileError(operation: string, path: string, error: unknown): FileError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
  return new FileError(operation, path, code, { cause: error });
}

// Replaces a small file so that a power cut at any instant leaves the old text or the new one, never a part: write beside it, fsync,
// rename over it, fsync the directory. One writer per path; a leftover of an interrupted write is overwritten by the next.
import type { Files } from './ports.ts';

/** Writes `text` to `path`, with mode 0600. The directory must exist. Throws `FileError`; then the old file is still there. */
export async function writeDurably(files: Files, path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  const log = await files.openLog(beside, { truncate: true });
  try {
    await log.append(text);
    await log.sync();
  } finally {
    await log.close();
  }
  await files.rename(beside, path);
  await files.syncDirectory(path.slice(0, Math.max(1, path.lastIndexOf('/'))));
}

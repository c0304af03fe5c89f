// What a disk holds after the power went: only what was fsynced is certain. Without randomness the strictest disk is played:
// nothing else survived. With it, each unsynced change survives or not by chance, and an appended text may be torn anywhere.
import type { Random } from '../../runtime/ports.ts';
import { fileContent, setFileContent } from './node.ts';
import type { DirectoryNode, FileNode, Node } from './node.ts';

/** Turns a directory and all below it into what the next boot finds. `spare` names directories that are no disk (sysfs, /run). */
export function losePower(
  directory: DirectoryNode,
  random: Random | null,
  spare: (node: DirectoryNode) => boolean,
): void {
  loseEntries(directory, random);
  for (const node of directory.entries.values()) {
    if (node.kind === 'directory' && !spare(node)) losePower(node, random, spare);
    else if (node.kind === 'file') loseContent(node, random);
  }
}

function loseEntries(directory: DirectoryNode, random: Random | null): void {
  const survived = new Map<string, Node>(directory.durable);
  if (random !== null) {
    for (const name of new Set([...directory.durable.keys(), ...directory.entries.keys()])) {
      const now = directory.entries.get(name);
      if (now === directory.durable.get(name) || random.fraction() < 0.5) continue;
      if (now === undefined) survived.delete(name);
      else survived.set(name, now);
    }
  }
  directory.entries = survived;
  directory.durable = new Map(survived);
}

function loseContent(file: FileNode, random: Random | null): void {
  const durable = file.durable ?? new Uint8Array();
  const written = fileContent(file);
  let survived = durable;
  if (random !== null && written !== durable) {
    const kept = Math.floor(random.fraction() * (written.length + 1));
    survived = kept < durable.length ? durable : written.slice(0, kept);
  }
  setFileContent(file, survived);
  file.durable = survived;
}

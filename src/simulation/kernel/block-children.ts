// Block devices in sysfs, /dev and udev's database: disks, partitions, and those made of others.
import type { Entry } from '../memory/entry.ts';
import { relativeLink } from './machine.ts';
import type { Machine } from './machine.ts';
import type { BlockSpec, StackedBlockSpec } from './spec.ts';

/** Shows a disk with its partitions below `parent`. */
export function showBlock(machine: Machine, parent: string, block: BlockSpec): void {
  const directory = `${parent}/${block.name}`;
  machine.files.put(directory, { directory: { ...blockEntries(block, {}), slaves: { directory: {} } } });
  if (!parent.startsWith('/sys/devices/virtual/')) {
    const disk = parent.replace(/\/block$/, '');
    machine.files.put(`${directory}/device`, relativeLink(`${directory}/device`, disk));
  }
  name(machine, directory, block, true);
  for (const [index, partition] of (block.partitions ?? []).entries()) {
    const below = `${directory}/${partition.name}`;
    machine.files.put(below, { directory: blockEntries(partition, { partition: `${index + 1}\n` }) });
    name(machine, below, partition, false);
  }
  linkStacks(machine);
}

/** Removes a disk and its partitions from everywhere but its parent's directory. */
export function hideBlock(machine: Machine, block: BlockSpec): void {
  const place = machine.files.exists(`/sys/class/block/${block.name}`)
    ? machine.files.realPath(`/sys/class/block/${block.name}`)
    : null;
  for (const part of [block, ...(block.partitions ?? [])]) {
    for (const path of namesOf(part, true)) machine.files.drop(path);
  }
  if (place !== null) machine.files.drop(place);
}

/** Shows a block device made of others. */
export function showStackedBlock(machine: Machine, block: StackedBlockSpec): void {
  const directory = `/sys/devices/virtual/block/${block.name}`;
  const dm: Record<string, Entry> =
    block.dmUuid === undefined
      ? {}
      : { dm: { directory: { uuid: `${block.dmUuid}\n`, name: `${block.dmName ?? block.name}\n` } } };
  machine.files.put(directory, { directory: { ...blockEntries(block, dm), slaves: { directory: {} } } });
  name(machine, directory, block, true);
  linkStacks(machine);
}

/** `slaves` of what is made of others, and `holders` of those others, as far as both are there. */
function linkStacks(machine: Machine): void {
  const { files } = machine;
  for (const block of machine.spec.stackedBlocks ?? []) {
    const upper = `/sys/devices/virtual/block/${block.name}`;
    if (!files.exists(upper)) continue;
    for (const slave of block.slaves) {
      if (!files.exists(`/sys/class/block/${slave}`)) continue;
      const lower = files.realPath(`/sys/class/block/${slave}`);
      files.put(`${upper}/slaves/${slave}`, relativeLink(`${upper}/slaves/${slave}`, lower));
      files.put(`${lower}/holders/${block.name}`, relativeLink(`${lower}/holders/${block.name}`, upper));
    }
  }
}

function blockEntries(block: BlockSpec, more: Record<string, Entry>): Record<string, Entry> {
  return {
    dev: `${block.number}\n`,
    size: '2097152\n',
    ro: '0\n',
    removable: '0\n',
    holders: { directory: {} },
    ...more,
  };
}

function name(machine: Machine, directory: string, block: BlockSpec, whole: boolean): void {
  const { files } = machine;
  for (const path of namesOf(block, whole).filter((path) => path.startsWith('/sys/'))) {
    files.put(path, relativeLink(path, directory));
  }
  files.put(`/dev/${block.name}`, {
    node: 'block',
    number: block.number,
    mode: 0o660,
    content: block.content ?? (() => new Uint8Array(65_536)),
  });
  const properties = Object.entries(block.udev ?? {}).map(([key, value]) => `E:${key}=${value}\n`);
  files.put(`/run/udev/data/b${block.number}`, `I:1000000\n${properties.join('')}G:systemd\nV:1\n`);
}

const namesOf = (block: BlockSpec, whole: boolean): readonly string[] => [
  `/sys/class/block/${block.name}`,
  `/sys/dev/block/${block.number}`,
  ...(whole ? [`/sys/block/${block.name}`] : []),
  `/dev/${block.name}`,
  `/run/udev/data/b${block.number}`,
];

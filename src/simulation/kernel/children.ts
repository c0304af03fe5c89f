// What a device shows while its own driver is bound: interfaces, disks, displays, RDMA. When it goes, the kernel refuses nothing:
// a file system mounted on it is lost, and that is noted as damage.
import { hideBlock, showBlock } from './block-children.ts';
import { relativeLink } from './machine.ts';
import type { Machine, SimDevice } from './machine.ts';
import { linkInterfaces, showInterface } from './net-children.ts';
import type { BlockSpec, ChildSpec } from './spec.ts';

/** Makes visible what the driver found. */
export function showChildren(machine: Machine, device: SimDevice): void {
  for (const child of device.spec.children ?? []) showChild(machine, device, device.path, child);
  linkInterfaces(machine);
}

/** Takes it away again, and notes what was lost with it. */
export function hideChildren(machine: Machine, device: SimDevice): void {
  if (machine.plugged.has((device.physicalFunction ?? device).address)) noteLosses(machine, device);
  for (const child of device.spec.children ?? []) forEachBlock(child, (block) => hideBlock(machine, block));
  for (const path of device.shown.reverse()) machine.files.drop(path);
  device.shown = [];
  linkInterfaces(machine);
}

function showChild(machine: Machine, device: SimDevice, base: string, child: ChildSpec): void {
  switch (child.kind) {
    case 'net':
      if (child.elsewhere === true) show(machine, device, `${base}/net`, { directory: {} });
      else showInterface(machine, device, base, child);
      return;
    case 'virtio':
      show(machine, device, `${base}/${child.name}`, { directory: { modalias: 'virtio:d00000001v00001AF4\n' } });
      for (const inner of child.children) showChild(machine, device, `${base}/${child.name}`, inner);
      return;
    case 'nvme':
      showNvme(machine, device, base, child);
      return;
    case 'disk':
      show(machine, device, `${base}/${child.path}`, {
        directory: child.serial === undefined ? {} : { serial: `${child.serial}\n` },
      });
      showBlock(machine, `${base}/${child.path}/block`, child.block);
      return;
    case 'drm':
      showDisplay(machine, device, base, child);
      return;
    case 'infiniband':
      showClassDevice(machine, device, `${base}/infiniband/${child.name}`, 'infiniband', {});
      showClassDevice(machine, device, `${base}/infiniband_verbs/${child.verbs}`, 'infiniband_verbs', {
        dev: `${uverbsNumber(child.verbs)}\n`,
        ibdev: `${child.name}\n`,
      });
      show(machine, device, `/dev/infiniband/${child.verbs}`, { node: 'char', number: uverbsNumber(child.verbs) });
  }
}

function showNvme(machine: Machine, device: SimDevice, base: string, child: ChildSpec & { kind: 'nvme' }): void {
  const directory = `${base}/nvme/${child.controller}`;
  const number = `241:${trailingNumber(child.controller)}`;
  showClassDevice(machine, device, directory, 'nvme', {
    dev: `${number}\n`,
    serial: `${(child.serial ?? '').padEnd(20)}\n`,
    model: `${(child.model ?? 'QEMU NVMe Ctrl').padEnd(40)}\n`,
    state: 'live\n',
    address: `${device.address}\n`,
  });
  show(machine, device, `/dev/${child.controller}`, { node: 'char', number });
  if (child.subsystem === undefined) {
    for (const namespace of child.namespaces) showBlock(machine, directory, namespace);
    return;
  }
  const subsystem = `/sys/devices/virtual/nvme-subsystem/${child.subsystem}`;
  if (!machine.files.exists(subsystem)) {
    showClassDevice(machine, device, subsystem, 'nvme-subsystem', { serial: `${child.serial ?? ''}\n` });
  }
  const link = `${subsystem}/${child.controller}`;
  show(machine, device, link, relativeLink(link, directory));
  for (const namespace of child.namespaces) {
    const hidden = namespace.name.replace(/n(\d+)$/, 'c0n$1');
    show(machine, device, `${directory}/${hidden}`, { directory: { hidden: '1\n', size: '2097152\n' } });
    showBlock(machine, subsystem, namespace);
  }
}

function showDisplay(machine: Machine, device: SimDevice, base: string, child: ChildSpec & { kind: 'drm' }): void {
  const nodes = [child.card, ...(child.render === undefined ? [] : [child.render])];
  for (const name of nodes) {
    const number = `226:${trailingNumber(name)}`;
    showClassDevice(machine, device, `${base}/drm/${name}`, 'drm', { dev: `${number}\n` });
    show(machine, device, `/dev/dri/${name}`, { node: 'char', number });
  }
  if (child.framebuffer === undefined) return;
  const minor = trailingNumber(child.framebuffer);
  showClassDevice(machine, device, `${base}/graphics/${child.framebuffer}`, 'graphics', {
    dev: `29:${minor}\n`,
    name: 'simpledrmdrmfb\n',
  });
  show(machine, device, `/dev/${child.framebuffer}`, { node: 'char', number: `29:${minor}` });
}

const trailingNumber = (name: string): number => Number(/\d+$/.exec(name)?.[0] ?? 0);

/** uverbs0 is 231:192, as in drivers/infiniband/core/uverbs_main.c. */
const uverbsNumber = (verbs: string): string => `231:${192 + trailingNumber(verbs)}`;

/** A directory with its `device` link, and its name in the class. */
function showClassDevice(
  machine: Machine,
  device: SimDevice,
  directory: string,
  className: string,
  entries: Record<string, string>,
): void {
  const name = directory.slice(directory.lastIndexOf('/') + 1);
  show(machine, device, directory, { directory: entries });
  if (directory.startsWith(device.path)) {
    machine.files.put(`${directory}/device`, relativeLink(`${directory}/device`, device.path));
  }
  show(machine, device, `/sys/class/${className}/${name}`, relativeLink(`/sys/class/${className}/${name}`, directory));
  const number = entries['dev']?.trim();
  if (number !== undefined) {
    show(machine, device, `/sys/dev/char/${number}`, relativeLink(`/sys/dev/char/${number}`, directory));
  }
}

function show(machine: Machine, device: SimDevice, path: string, entry: Parameters<Machine['files']['put']>[1]): void {
  machine.files.put(path, entry);
  device.shown.push(path);
  const below = path.startsWith(`${device.path}/`) ? path.slice(device.path.length + 1).split('/')[0] : undefined;
  if (below !== undefined) device.shown.unshift(`${device.path}/${below}`);
}

function forEachBlock(child: ChildSpec, use: (block: BlockSpec) => void): void {
  if (child.kind === 'nvme') for (const namespace of child.namespaces) use(namespace);
  else if (child.kind === 'disk') use(child.block);
  else if (child.kind === 'virtio') for (const inner of child.children) forEachBlock(inner, use);
}

function noteLosses(machine: Machine, device: SimDevice): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  const addBlock = (block: BlockSpec): void => {
    names.add(block.name);
    numbers.add(block.number);
    for (const partition of block.partitions ?? []) addBlock(partition);
    for (const above of machine.spec.stackedBlocks ?? []) if (above.slaves.includes(block.name)) addBlock(above);
  };
  const interfaces = new Set<string>();
  const addInterface = (child: ChildSpec): void => {
    if (child.kind === 'virtio') for (const inner of child.children) addInterface(inner);
    if (child.kind !== 'net') return;
    interfaces.add(child.name);
    for (const above of machine.spec.virtualInterfaces ?? []) {
      if (above.lowers.includes(child.name)) interfaces.add(above.name);
    }
  };
  for (const child of device.spec.children ?? []) {
    forEachBlock(child, addBlock);
    addInterface(child);
  }
  for (const mount of [...machine.mounts, ...Object.values(machine.spec.otherMounts ?? {}).flat()]) {
    if (!numbers.has(mount.number) && !names.has(mount.source.replace('/dev/', ''))) continue;
    machine.damage.push({ kind: 'MountLost', message: `${device.address} was unbound under ${mount.target}` });
  }
  for (const swap of machine.swaps) {
    if (names.has(swap.replace('/dev/', ''))) {
      machine.damage.push({ kind: 'SwapLost', message: `${device.address} was unbound under swap ${swap}` });
    }
  }
  for (const route of machine.routes) {
    if (route.destination !== 'default' || !interfaces.has(route.interface)) continue;
    machine.damage.push({ kind: 'RouteLost', message: `${device.address} was unbound under the default route` });
  }
}

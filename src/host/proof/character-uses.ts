// Who has a device's character nodes open. /sys/dev/char leads from a node's number to the device, whatever the node is called in the
// container that has it: DRM and compute nodes make a GPU active, RDMA nodes a network used, raw nodes of disks storage used; any
// other node (VFIO cdev, sound, input, serial, uio) makes its process a holder.
import type { RefusalCode } from '../../domain/codes.ts';
import { isAbsent, type Failure } from './evidence.ts';
import { interfacesBelow, readNetInterfaces } from './net-interfaces.ts';
import { nvmeControllersOf } from './nvme-subsystem.ts';
import type { OpenFiles, OpenNode } from './open-files.ts';
import { isInert, usedIn, wantedWhere, type ProofPass } from './proof-pass.ts';

// Directory that a class gives its devices below the parent (`.../0000:01:00.0/drm/card0`).
const codeOfClass: Readonly<Record<string, RefusalCode>> = {
  drm: 'ActiveGpu',
  accel: 'ActiveGpu',
  graphics: 'ActiveGpu',
  infiniband_verbs: 'NetworkInUse',
  infiniband_mad: 'NetworkInUse',
  nvme: 'StorageInUse',
  'nvme-subsystem': 'StorageInUse',
  'nvme-generic': 'StorageInUse',
  scsi_generic: 'StorageInUse',
  bsg: 'StorageInUse',
};

/** Nodes of the two GPU drivers whose devices /sys/dev/char does not know. */
const nvidiaNode = /\/nvidia(\d+)( \(deleted\))?$/;
const nvidiaCapability = /\/nvidia-cap\d+( \(deleted\))?$/;
const kfdNode = /\/kfd( \(deleted\))?$/;

/** Notes the uses, and Unproven for GPUs and RDMA devices whose users cannot be seen. */
export function proveCharacterUses(pass: ProofPass, open: OpenFiles, foreign: Failure | null): void {
  const concerned = withUsers(pass);
  if (foreign !== null) pass.notes.blind(concerned, foreign.source, foreign.why);
  for (const { source, why } of open.blind) pass.notes.blind(concerned, source, why);
  // Without this directory no number leads anywhere. A kernel without any node in it, not even /dev/null, is none.
  const numbers = `${pass.paths.sys}/dev/char`;
  const listed = pass.evidence.names(numbers);
  const unlisted = 'errno' in listed ? `readdir: ${listed.errno}` : listed.value.length === 0 ? 'it is empty' : null;
  if (unlisted !== null) pass.notes.blind([...concerned, ...withDisks(pass)], numbers, unlisted);
  for (const node of open.nodes) {
    if (node.kind !== 'char') continue;
    if (!noteNvidia(pass, node) && !noteKfd(pass, node)) noteClass(pass, node);
  }
}

function noteClass(pass: ProofPass, node: OpenNode): void {
  const path = `${pass.paths.sys}/dev/char/${node.number}`;
  const real = pass.evidence.real(path);
  if ('errno' in real) {
    if (!isAbsent(real)) pass.notes.blind(withUsers(pass), path, `realpath: ${real.errno}`);
    return;
  }
  const controllers = nvmeControllersOf(pass, real.value, (source, why) =>
    pass.notes.blind(withDisks(pass), source, why),
  );
  const addresses = [...usedIn(pass, real.value), ...controllers, ...cardsBelowRdma(pass, real.value)];
  if (addresses.length === 0) return;
  const code = real.value
    .split('/')
    .reduceRight<RefusalCode | null>((found, part) => found ?? codeOfClass[part] ?? null, null);
  if (code === null) pass.notes.hold(addresses, `${node.who} has ${node.path} open`);
  else pass.notes.refuse(addresses, code, `${node.who} has ${node.path} open (${pass.paths.process(node.pid)}/fd)`);
}

// The node of RDMA in software lies under no card.
function cardsBelowRdma(pass: ProofPass, path: string): readonly string[] {
  if (!/\/virtual\/infiniband_(verbs|mad)\//.test(path)) return [];
  const name = pass.evidence.text(`${path}/ibdev`);
  const cards =
    'value' in name
      ? cardsOfSoftwareRdma(pass, name.value.trim())
      : { source: `${path}/ibdev`, why: `read: ${name.errno}` };
  if ('addresses' in cards) return cards.addresses;
  pass.notes.blind(withNetworks(pass), cards.source, cards.why);
  return [];
}

// RDMA in software (rxe, siw) is no child of a card: it tells the interface that it runs over (`parent`, drivers/infiniband/sw).
function cardsOfSoftwareRdma(pass: ProofPass, name: string): { readonly addresses: readonly string[] } | Failure {
  const source = `${pass.paths.sysClass('infiniband')}/${name}/parent`;
  const parent = pass.evidence.text(source);
  if ('errno' in parent) return { source, why: `read: ${parent.errno}` };
  const interfaces = readNetInterfaces(pass);
  const top = parent.value.trim();
  if (!interfaces.byName.has(top)) return { source, why: 'it names no interface that is to be seen' };
  const below = interfacesBelow(interfaces, top);
  return { addresses: below.flatMap((one) => interfaces.byName.get(one)?.addresses ?? []) };
}

// The proprietary driver makes its nodes outside the device model; its own table tells the minor number of each GPU.
function noteNvidia(pass: ProofPass, node: OpenNode): boolean {
  const minor = nvidiaNode.exec(node.path)?.[1];
  if (minor === undefined && !nvidiaCapability.test(node.path)) return false;
  const root = `${pass.paths.proc}/driver/nvidia/gpus`;
  const ours = wantedWhere(pass, (device) => device.driver === 'nvidia');
  const users = ours.filter((address) => {
    const info = pass.evidence.text(`${root}/${address}/information`);
    const own = 'value' in info ? /^Device Minor:\s*(\d+)$/m.exec(info.value)?.[1] : undefined;
    // A capability node, or a GPU whose minor cannot be told, may be any of them.
    return minor === undefined || own === undefined || own === minor;
  });
  pass.notes.refuse(users, 'ActiveGpu', `${node.who} has ${node.path} open (${pass.paths.process(node.pid)}/fd)`);
  return true;
}

// One node serves all GPUs of amdgpu.
function noteKfd(pass: ProofPass, node: OpenNode): boolean {
  if (!kfdNode.test(node.path)) return false;
  const users = wantedWhere(pass, (device) => device.driver === 'amdgpu');
  pass.notes.refuse(users, 'ActiveGpu', `${node.who} has ${node.path} open (${pass.paths.process(node.pid)}/fd)`);
  return true;
}

// Mass storage: its raw nodes are used past the block layer.
function withDisks(pass: ProofPass): readonly string[] {
  return drivenOfClass(pass, /^01/);
}

function withNetworks(pass: ProofPass): readonly string[] {
  return drivenOfClass(pass, /^02/);
}

function drivenOfClass(pass: ProofPass, classCode: RegExp): readonly string[] {
  return wantedWhere(pass, (device) => !isInert(device) && classCode.test(device.classCode ?? ''));
}

// Display controllers, processing accelerators, co-processors, and whatever shows DRM, accel or RDMA nodes of its own.
function withUsers(pass: ProofPass): readonly string[] {
  const byClass = drivenOfClass(pass, /^(03|12|0b40|0207)/);
  const shown = ['drm', 'accel', 'infiniband'].flatMap((name) => {
    const root = pass.paths.sysClass(name);
    const entries = pass.evidence.names(root);
    return 'errno' in entries
      ? []
      : entries.value.flatMap((entry) => {
          const real = pass.evidence.real(`${root}/${entry}`);
          if ('errno' in real) return [];
          if (!real.value.includes('/virtual/infiniband/')) return usedIn(pass, real.value);
          const cards = cardsOfSoftwareRdma(pass, entry);
          return 'addresses' in cards ? cards.addresses : withNetworks(pass);
        });
  });
  return [...new Set([...byClass, ...shown])];
}

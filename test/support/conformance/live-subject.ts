// A guest of the lab as a subject: a call that has not answered after a second of real time counts as asleep. What
// merely works takes less, save for making VFs, and for that the cases wait until it has ended.
import { setTimeout as wait } from 'node:timers/promises';
import type { Guest, GuestProcess } from '../../e2e/lab/guest.ts';
import type { FileOperation, FileResult } from '../../e2e/lab/protocol.ts';
import type { Begun, OpenHolder, Role, Subject } from './subject.ts';

const patienceMs = 1_000;

const errnos: Readonly<Record<string, string>> = {
  'Operation not permitted': 'EPERM',
  'No such file or directory': 'ENOENT',
  'Device or resource busy': 'EBUSY',
  'No such device': 'ENODEV',
  'Invalid argument': 'EINVAL',
};

/** Joins a booted guest of the full topology to the suite. */
export async function createLiveSubject(guest: Guest, roles: readonly Role[]): Promise<Subject> {
  const found = await Promise.all(roles.map(async (role) => [role, await guest.pciAddress(role)] as const));
  const addresses = Object.fromEntries(found) as Record<Role, string>;
  const ask = async (operation: FileOperation): Promise<FileResult> => {
    const [result] = await guest.files([operation]);
    if (result === undefined) throw new Error(`the guest gave no answer to ${operation.op}`);
    return result;
  };
  const begin = async (operation: FileOperation & { readonly path: string }): Promise<Begun> => {
    const end = ask(operation).then((result) => (result.ok ? textOf(result.value) : result.code));
    const now = await Promise.race([end, wait(patienceMs, 'blocked', { ref: false })]);
    return { now, end };
  };
  return {
    kernel: guest.kernel,
    addresses,
    write: (path, text) => begin({ op: 'write', path, text }),
    read: (path) => begin(path.endsWith('/config') ? { op: 'readBase64', path, length: 64 } : { op: 'readText', path }),
    async readLink(path) {
      const result = await ask({ op: 'readLink', path });
      return result.ok ? textOf(result.value) : result.code;
    },
    async list(path) {
      const result = await ask({ op: 'list', path });
      return result.ok && Array.isArray(result.value) ? [...result.value].sort() : [];
    },
    async exists(path) {
      const result = await ask({ op: 'exists', path });
      return result.ok && result.value === true;
    },
    async describe(path) {
      const result = await ask({ op: 'stat', path });
      if (!result.ok) return result.code;
      const { value } = result;
      if (value === null || typeof value !== 'object' || !('kind' in value)) return 'no stat';
      return `${value.kind} ${value.node ?? '-'} ${(value.mode & 0o777).toString(8)}`;
    },
    async createFile(path, text) {
      await guest.run(`mkdir -p ${path.slice(0, path.lastIndexOf('/'))}`);
      await guest.createFile(path, text);
    },
    removeFile: async (path) => void (await ask({ op: 'remove', path })),
    async modprobe(...args) {
      const end = await guest.exec(['modprobe', ...args].join(' '), { timeoutMs: 60_000 });
      return end.code ?? -1;
    },
    async open(how, address) {
      const link = await ask({ op: 'readLink', path: `/sys/bus/pci/devices/${address}/iommu_group` });
      const group = link.ok ? textOf(link.value).replace(/^.*\//, '') : 'none';
      const holder = await guest.spawn(`exec /lab/vfio-holder ${how} ${group}${how === 'group' ? '' : ` ${address}`}`);
      return openHolder(holder);
    },
    unplug: async (role) => void (await guest.qmp('device_del', { id: role })),
    async plug(role) {
      await guest.qmp('device_add', { driver: 'e1000e', id: role, bus: `${role}-port`, romfile: '' });
    },
    settle: () => settled(guest),
  };
}

/** Waits until the kernel has had nothing to tell user space for a second; hot unplug needs a moment to begin. */
async function settled(guest: Guest): Promise<void> {
  let last = '';
  for (let quiet = 0; quiet < 4; quiet += 1) {
    const now = await guest.readText('/sys/kernel/uevent_seqnum');
    if (now !== last) quiet = 0;
    last = now;
    await wait(300);
  }
}

async function openHolder(holder: GuestProcess): Promise<OpenHolder | string> {
  const told = await Promise.race([
    holder.waitFor('holding', 30_000).then(() => 'holding'),
    holder.ended.then(({ stdout }) => stdout),
  ]).catch(() => holder.stdout());
  if (!told.includes('holding')) {
    const sentence = /: ([^:]+)\n/.exec(told)?.[1] ?? told;
    return errnos[sentence] ?? sentence;
  }
  return {
    async close() {
      // One that gave its device back has ended by itself.
      await holder.signal('SIGTERM').catch(() => undefined);
      await holder.ended;
    },
  };
}

/** A write that succeeded has no value; a read's is its text. */
function textOf(value: Extract<FileResult, { ok: true }>['value']): string {
  return typeof value === 'string' ? value : 'ok';
}

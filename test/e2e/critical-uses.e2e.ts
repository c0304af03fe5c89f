// Everything that a node can live on, made for real on one live kernel at the same time: each is refused with the path that proves it, the
// same devices unused are taken, and nothing that is refused is touched. Then each source of proof is taken away, and nothing becomes free.
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import { installStorageTools, storageTools } from './lab/storage-tools.ts';
import type { AgentInGuest, LoggedDecision } from './support/agent-in-guest.ts';
import { policyDocument, program, startAgentInGuest } from './support/agent-in-guest.ts';
import { addressesOf, onVfio, readDevices } from './support/devices-in-guest.ts';
import { hiddenSources } from './support/hidden-sources.ts';
import { unusedDevices, useArguments, useDisks, useDrivers, useFunctions } from './support/live-use-machine.ts';
import { liveUses, type LiveUse } from './support/live-uses.ts';
import { tierKernels } from './support/tier-kernels.ts';

/** A decision as `plan -o json` has it. */
interface PlannedDecision {
  readonly address: string;
  readonly kind: string;
  readonly code: string | null;
  readonly message: string;
}

describe.each(tierKernels)('kernel %s', (kernel) => {
  const images = mkdtempSync(join(tmpdir(), 'vfio-lab-uses-'));
  let guest: Guest;
  let agent: AgentInGuest;
  let at: Readonly<Record<string, string>>;
  let functions: string;
  let decisions: Readonly<Record<string, LoggedDecision>>;
  const devices = [...liveUses.map(({ device }) => device), 'pair1', ...unusedDevices];

  beforeAll(async () => {
    const directory = await storageTools();
    const image = (name: string): string => {
      const path = join(images, `${name}.raw`);
      const file = openSync(path, 'w');
      ftruncateSync(file, 64 * 1024 * 1024);
      closeSync(file);
      return path;
    };
    guest = await bootGuest({
      kernel,
      topology: 'small',
      disks: useDisks,
      drivers: useDrivers,
      qemu: useArguments(image),
      visible: [directory],
    });
    await installStorageTools(guest, directory);
    await guest.run('mkdir -p /srv/everything');
    at = await addressesOf(guest, devices);
    functions = useFunctions(at);
  });
  afterAll(async () => {
    await guest?.shutdown();
    rmSync(images, { recursive: true, force: true });
  });

  test('each use can be made', async () => {
    for (const { what, make } of liveUses) {
      if (make === '') continue;
      const made = await guest.exec(`${functions}\n${make}`);
      expect({ what, code: made.code, said: made.code === 0 ? '' : made.stdout + made.stderr }).toEqual({
        what,
        code: 0,
        said: '',
      });
    }
  });

  test('every one is refused, those in no use are taken, and nothing else changes', async () => {
    const drivers = (): Promise<string> =>
      guest.run(
        `cd /sys/bus/pci/devices; for d in *; do echo $d $(readlink $d/driver) $(cat $d/driver_override); done`,
      );
    const before = await drivers();
    const unused = unusedDevices.map((name) => at[name] ?? name);
    agent = await startAgentInGuest(guest);
    await agent.putPolicy('everything', { devices: [{ addresses: Object.values(at) }] });
    const wanted = Object.fromEntries(unused.map((address) => [address, 'Bound'] as const));
    const refused = Object.fromEntries(liveUses.map(({ device }) => [at[device], 'Refused'] as const));
    // Some forty devices to prove things of: the first look takes long under emulation.
    decisions = await agent.waitForDecisions({ ...wanted, ...refused }, 0, 200_000);
    expect(liveUses.map((use) => judged(use, decisions[at[use.device] ?? '']))).toEqual(
      liveUses.map((use) => asItMust(use)),
    );
    expect(await readDevices(guest, { blank: at['blank'] ?? '', idle: at['idle'] ?? '' })).toMatchObject({
      blank: onVfio('nvme-class-vfio'),
      idle: onVfio('e1000e-vfio'),
    });
    const others = (text: string): readonly string[] =>
      text.split('\n').filter((line) => !unused.some((address) => line.startsWith(address)));
    expect(others(await drivers())).toEqual(others(before));
    await agent.removePolicy('everything');
    await agent.waitForDecisions(Object.fromEntries(unused.map((address) => [address, 'None'] as const)));
    expect((await drivers()).split('\n')).toEqual(before.split('\n'));
    await agent.stop();
  });

  test.each(hiddenSources)('without $what nothing becomes free', async ({ hide, unproven, launch }) => {
    await guest.createFile(
      '/srv/everything/all.json',
      JSON.stringify(policyDocument('all', { devices: [{ addresses: Object.values(at) }] })),
    );
    const command = `${functions}
      hide() { mount --bind /proc/1/mem "$1"; }
      empty() { mount -t tmpfs none "$1"; }
      ${hide}
      ${launch ?? ''} node ${program} plan --policies /srv/everything -o json`;
    await guest.createFile('/lab/hidden.sh', command);
    const answer = await guest.run('unshare --mount sh /lab/hidden.sh', { timeoutMs: 200_000 });
    const planned = (JSON.parse(answer) as { readonly decisions: readonly PlannedDecision[] }).decisions;
    const codeOf = new Map(planned.map(({ address, kind, code }) => [address, kind === 'Refused' ? code : kind]));
    const codes = Object.fromEntries(devices.map((device) => [device, codeOf.get(at[device] ?? '') ?? 'no decision']));
    process.stderr.write(`${JSON.stringify(codes)}\n`);
    // What is in no use may still be free to take, and nothing else.
    const free = devices.filter((device) => ['Bind', 'Bound', 'no decision'].includes(codes[device] ?? ''));
    expect(free.filter((device) => !(unusedDevices as readonly string[]).includes(device))).toEqual([]);
    expect(Object.fromEntries(unproven.map((device) => [device, codes[device]]))).toEqual(
      Object.fromEntries(unproven.map((device) => [device, 'Unproven'])),
    );
  });
});

function judged({ what }: LiveUse, decision: LoggedDecision | undefined): object {
  return { what, decision: decision?.decision, code: decision?.code, message: decision?.msg ?? '' };
}

function asItMust({ what, code, proof }: LiveUse): object {
  return { what, decision: 'Refused', code, message: expect.stringMatching(proof) as string };
}

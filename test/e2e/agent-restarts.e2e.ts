// What outlives the agent: devices stay bound over its end, the next one takes over without a write, and neither a bad policy file
// nor a policy directory that is gone takes anything away. Then the command line beside it, as root and as an ordinary user.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dirname } from 'node:path';
import { bootGuest } from './lab/boot.ts';
import type { Guest } from './lab/guest.ts';
import type { AgentInGuest, AgentOptions } from './support/agent-in-guest.ts';
import { openHttpInGuest, program, startAgentInGuest } from './support/agent-in-guest.ts';
import {
  addressesOf,
  onHost,
  onVfio,
  readDevices,
  readEventCount,
  readJournalInGuest,
} from './support/devices-in-guest.ts';

const names = ['nic', 'hot', 'pair0', 'pair1', 'edu', 'uplink'] as const;
let guest: Guest;
let agent: AgentInGuest;
let at: Readonly<Record<(typeof names)[number], string>>;
const read = (): ReturnType<typeof readDevices<(typeof names)[number]>> => readDevices(guest, at);
const outcomes = (): readonly unknown[] => agent.log().filter((line) => line['outcome'] !== undefined);

async function restart(options: AgentOptions = {}): Promise<void> {
  await agent.stop();
  agent = await startAgentInGuest(guest, options);
}

beforeAll(async () => {
  guest = await bootGuest({ kernel: '6.12', topology: 'small' });
  at = await addressesOf(guest, names);
  agent = await startAgentInGuest(guest);
});
afterAll(async () => guest?.shutdown());

const good = (): string => `apiVersion: vfio-operator.dev/v1alpha1
kind: VfioPolicy
metadata:
  name: nics
spec:
  devices:
    - vendor: '8086'
      device: '10d3'
      addresses: ['${at.nic}', '${at.hot}']
`;

test('a bad file is told with file, line and sentence; its last good version holds, over a restart too', async () => {
  const file = `${agent.policies}/nics.yaml`;
  await guest.createFile(file, good());
  await agent.waitForDecisions({ [at.nic]: 'Bound', [at.hot]: 'Bound' });
  const bound = await read();
  expect(bound).toMatchObject({ nic: onVfio('e1000e-vfio'), hot: onVfio('e1000e-vfio') });

  await guest.createFile(file, good().replace('device:', 'devise:'));
  const problem = { file, line: 8, path: 'spec.devices[0].devise' };
  const told = await agent.waitForLine('telling what is wrong with the file', (line) => line['path'] !== undefined);
  expect(told).toMatchObject({
    ...problem,
    level: 'error',
    message: expect.stringMatching(/unknown field; known here are .*device/) as string,
  });
  const http = await openHttpInGuest(guest);
  await agent.waitForPass(http);
  await http.close();
  expect(await read()).toEqual(bound);

  await restart();
  await agent.waitForDecisions({ [at.nic]: 'Bound', [at.hot]: 'Bound' });
  expect(agent.log().filter((line) => line['path'] !== undefined)).toMatchObject([problem]);
  expect(outcomes()).toEqual([]);
  expect(await read()).toEqual(bound);
  await guest.createFile(file, good());
});

test('SIGTERM leaves every device bound, and the next agent takes over without touching one', async () => {
  const bound = await read();
  const before = await readEventCount(guest);
  await agent.stop();
  expect(await read()).toEqual(bound);
  agent = await startAgentInGuest(guest);
  await agent.waitForDecisions({ [at.nic]: 'Bound', [at.hot]: 'Bound' });
  expect(await read()).toEqual(bound);
  // Any bind, unbind or loaded module would have been an event of the kernel's.
  expect(await readEventCount(guest)).toBe(before);
  expect(outcomes()).toEqual([]);
});

test('a policy directory that is gone means unknown: nothing is released; an empty one means none', async () => {
  const bound = await read();
  const http = await openHttpInGuest(guest);
  await guest.run(`mv ${agent.policies} ${agent.policies}.away`);
  await agent.waitForPass(http);
  expect(await read()).toEqual(bound);
  await restart({ makePolicies: false });
  await agent.waitForDecisions({ [at.nic]: 'Bound', [at.hot]: 'Bound' });
  await agent.waitForPass(http);
  expect(await read()).toEqual(bound);
  expect(outcomes()).toEqual([]);
  await http.close();

  await guest.run(`mkdir ${agent.policies}`);
  await agent.waitForDecisions({ [at.nic]: 'None', [at.hot]: 'None' });
  expect(await read()).toMatchObject({ nic: onHost('e1000e'), hot: onHost('e1000e') });
});

test('SIGTERM in the middle of binding is a clean end, and the next agent finishes', async () => {
  await restart({ flags: ['--log-level', 'debug'] });
  await agent.putPolicy('all', { devices: [{ vendor: '8086', device: '10d3' }, { addresses: [at.edu] }] });
  await agent.waitForLine('a first step', (line) => line['step'] !== undefined);
  await agent.stop();
  // Half done is not stuck.
  expect(agent.log().filter((line) => line['decision'] === 'Stuck' || line['code'] === 'Stuck')).toEqual([]);

  agent = await startAgentInGuest(guest);
  const all = [at.nic, at.hot, at.pair0, at.pair1, at.edu];
  await agent.waitForDecisions(Object.fromEntries(all.map((address) => [address, 'Bound'] as const)));
  expect(await read()).toMatchObject({
    nic: onVfio('e1000e-vfio'),
    hot: onVfio('e1000e-vfio'),
    pair0: onVfio('e1000e-vfio'),
    pair1: onVfio('e1000e-vfio'),
    edu: { groupNode: true, driver: expect.stringMatching(/^edu/) as string },
  });
  await agent.removePolicy('all');
  await agent.waitForDecisions(Object.fromEntries(all.map((address) => [address, 'None'] as const)));
  expect(await read()).toMatchObject({ nic: onHost('e1000e'), hot: onHost('e1000e'), edu: onHost(null) });
  expect(await readJournalInGuest(guest)).toMatchObject({ entries: new Map(), open: new Map() });
  await agent.stop();
});

test('devices, match, plan and explain answer root and an ordinary user alike, and touch nothing', async () => {
  await guest.run(`mkdir -p /srv/policies /opt/program /opt/node
    mount -o bind ${dirname(program)} /opt/program
    mount -o bind $(dirname $(readlink -f $(which node))) /opt/node`);
  await guest.createFile('/srv/policies/nics.yaml', good());
  const state = await read();
  const before = await readEventCount(guest);
  const asUser = 'setpriv --reuid 65534 --regid 65534 --clear-groups';
  for (const who of ['', asUser]) {
    const run = (words: string): Promise<string> => guest.run(`${who} /opt/node/node /opt/program/main.mjs ${words}`);
    const { devices } = JSON.parse(await run('devices -o json')) as {
      devices: readonly { readonly address: string }[];
    };
    expect(devices.map(({ address }) => address).sort()).toEqual(
      (await guest.run('ls /sys/bus/pci/devices')).split('\n').sort(),
    );
    expect(devices.find(({ address }) => address === at.nic)).toMatchObject({
      driver: 'e1000e',
      iommuGroup: Number(state.nic.group),
    });
    expect(JSON.parse(await run(`match ${at.nic} -o json`))).toMatchObject({ chosen: { module: 'e1000e_vfio_pci' } });
    const plan = JSON.parse(await run('plan --policies /srv/policies -o json')) as {
      readonly decisions: readonly { readonly address: string; readonly kind: string }[];
    };
    expect(plan.decisions.map(({ address }) => address)).toEqual([at.nic, at.hot].sort());
    const explained = await run(`explain ${at.nic} --policies /srv/policies`);
    for (const word of [at.nic, 'e1000e_vfio_pci', 'vfio_pci', 'nics']) expect(explained).toContain(word);
  }
  expect(await read()).toEqual(state);
  expect(await readEventCount(guest)).toBe(before);
});

// The agent on live kernels, with real PCI functions: what it binds and gives back, and what it must not take.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AgentOnFullMachine } from './support/agent-on-full-machine.ts';
import { bootAgentOnFullMachine } from './support/agent-on-full-machine.ts';
import { testBinding } from './support/binding-tests.ts';
import { kernelComplaints } from './support/devices-in-guest.ts';
import { testRefusals } from './support/refusal-tests.ts';

describe.each(['6.1', '6.12'] as const)('kernel %s', (kernel) => {
  let machine: AgentOnFullMachine;

  beforeAll(async () => {
    machine = await bootAgentOnFullMachine(kernel);
  });
  afterEach(async () => void (await machine.guest.run(`rm -f ${machine.agent.policies}/*`)));
  afterAll(async () => machine?.guest.shutdown());

  testBinding(() => machine);
  testRefusals(() => machine);

  test('after all that the kernel has nothing to complain of, and the agent ends cleanly', async () => {
    await machine.agent.stop();
    expect(await kernelComplaints(machine.guest)).toEqual([]);
  });
});

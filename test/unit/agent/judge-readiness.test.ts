// Ready means registered, or nothing to register.
import { expect, it } from 'vitest';
import { judgeReadiness } from '../../../src/agent/judge-readiness.ts';
import type { ResourceStatus } from '../../../src/agent/kubelet-side.ts';

const status = (resource: string, registered: boolean, lastError: string | null = null): ResourceStatus => ({
  resource,
  registered,
  capacity: 1,
  healthy: 1,
  lastError,
});
const agent = (
  resources: readonly ResourceStatus[],
  parts: { readonly report?: null; readonly problem?: string } = {},
): Parameters<typeof judgeReadiness>[0] => ({ report: {}, problem: null, kubelet: { resources }, ...parts });

it('not before the first pass', () => {
  expect(judgeReadiness(null, 'required')).toEqual({ ok: false, message: 'starting' });
  expect(judgeReadiness(agent([], { report: null }), 'none')).toEqual({
    ok: false,
    message: 'the first pass has not ended yet',
  });
  expect(judgeReadiness(agent([], { report: null, problem: 'no /sys' }), 'none').message).toBe('no /sys');
});

it('not while passes fail', () => {
  expect(judgeReadiness(agent([], { problem: 'ENOSPC' }), 'required')).toEqual({
    ok: false,
    message: 'the last pass failed: ENOSPC',
  });
});

it('not while kubelet does not know a resource, which is named with what kubelet said', () => {
  const resources = [status('x.io/a', true), status('x.io/b', false, 'Register: Unavailable'), status('x.io/c', false)];
  expect(judgeReadiness(agent(resources), 'required')).toEqual({
    ok: false,
    message: 'not registered with kubelet: x.io/b (Register: Unavailable); x.io/c',
  });
  expect(judgeReadiness(agent(resources), 'none').ok).toBe(true);
});

it('when all are registered, or there is nothing to register', () => {
  expect(judgeReadiness(agent([status('x.io/a', true)]), 'required')).toEqual({
    ok: true,
    message: 'ready; 1 resources registered',
  });
  expect(judgeReadiness(agent([]), 'required').ok).toBe(true);
});

import { expect, test } from 'vitest';
import { describeAge, renderStatus } from '../../../src/cli/render-status.ts';
import type { StatusAnswer } from '../../../src/cli/status-command.ts';
import { paintNothing } from '../../../src/cli/terminal.ts';

const nothing: StatusAnswer = { running: false, agent: null, lastState: null, unread: [] };
const render = (answer: StatusAnswer): string => renderStatus(answer, '/state', Date.UTC(2026, 0, 2), paintNothing);

test.each([
  [900, '1 seconds'],
  [119_000, '119 seconds'],
  [120_000, '2 minutes'],
  [7_200_000, '2 hours'],
  [200_000_000, '2 days'],
  [-5, '0 seconds'],
])('an age of %d ms is %s', (milliseconds, text) => {
  expect(describeAge(milliseconds)).toBe(text);
});

test('an agent that is unwell says why', () => {
  const agent = { ok: false, message: '/sys/bus cannot be read', data: {} };
  expect(render({ ...nothing, running: true, agent })).toContain('running, but not well: /sys/bus cannot be read.');
});

test('the last state is shown with its age', () => {
  const text = render({
    ...nothing,
    lastState: {
      path: '/state/node-state.json',
      writtenAt: '2026-01-01T00:00:00.000Z',
      document: {
        apiVersion: 'vfio-operator.dev/v1alpha1',
        kind: 'VfioNodeState',
        metadata: { name: 'node-1' },
        status: {
          kernel: { release: '6.12.0', iommu: true, iommufd: true, noIommuMode: false },
          resources: [{ name: 'a/gpu', capacity: 2, healthy: 1, allocated: 1, registered: true }],
          devices: [{ address: '0000:01:00.0', decision: 'Refused', code: 'NoIommu', message: 'no IOMMU' }],
        },
      },
    },
  });
  expect(text).toContain('No agent runs with /state. The last one wrote /state/node-state.json 24 hours ago');
  expect(text).toContain('Node node-1, kernel 6.12.0');
  expect(text).toMatch(/a\/gpu +2 +1 +yes +-/);
  expect(text).toMatch(/0000:01:00\.0 +Refused +NoIommu +- +- +- +no IOMMU/);
});

test('without any agent ever, it says that', () => {
  expect(render(nothing)).toBe('No agent runs with /state. None has left its state there.');
  const unread = [{ source: '/state/control.sock', why: 'EACCES' }];
  expect(render({ ...nothing, running: null, unread })).toMatch(
    /^Whether an agent runs cannot be told\.\n\nCould not be read/,
  );
});

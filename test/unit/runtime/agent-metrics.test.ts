// What the agent tells Prometheus.
import { expect, it } from 'vitest';
import { type AgentMetrics, createAgentMetrics } from '../../../src/runtime/agent-metrics.ts';

/** The lines of a metric with this prefix. */
async function lines(metrics: AgentMetrics, prefix: string): Promise<readonly string[]> {
  const text = await metrics.text();
  return text.split('\n').filter((line) => line.startsWith(prefix));
}

it('devices by decision and code: what is no more is no more told', async () => {
  const metrics = createAgentMetrics();
  metrics.setDevices([
    { decision: 'Bound', code: '', count: 3 },
    { decision: 'Refused', code: 'RootStorage', count: 1 },
  ]);
  metrics.setDevices([{ decision: 'Bound', code: '', count: 4 }]);
  expect(await lines(metrics, 'vfio_operator_devices')).toEqual(['vfio_operator_devices{decision="Bound",code=""} 4']);
});

it('resources with health and registration: one that went is gone', async () => {
  const metrics = createAgentMetrics();
  const gpu = { resource: 'x.io/gpu', registered: true, capacity: 4, healthy: 3 };
  metrics.setResources([gpu, { ...gpu, resource: 'x.io/nic' }]);
  metrics.setResources([{ ...gpu, registered: false }]);
  expect(await lines(metrics, 'vfio_operator_resource')).toEqual([
    'vfio_operator_resource_registered{resource="x.io/gpu"} 0',
    'vfio_operator_resource_devices{resource="x.io/gpu",health="Healthy"} 3',
    'vfio_operator_resource_devices{resource="x.io/gpu",health="Unhealthy"} 1',
  ]);
});

it('durations in seconds, by what was done and how it ended', async () => {
  const metrics = createAgentMetrics();
  metrics.observeStep('Bind', 'Done', 1500);
  metrics.observeAllocate('x.io/gpu', false, 20);
  metrics.setStuck(2);
  const text = await metrics.text();
  expect(text).toContain('vfio_operator_step_duration_seconds_sum{kind="Bind",outcome="Done"} 1.5');
  expect(text).toContain('vfio_operator_allocate_duration_seconds_sum{resource="x.io/gpu",outcome="error"} 0.02');
  expect(text).toContain('vfio_operator_stuck_workers 2');
});

it('the last successful pass: a failed one leaves it', async () => {
  const metrics = createAgentMetrics();
  metrics.observePass(100, true, 5_000);
  metrics.observePass(100, false, 9_000);
  expect(await lines(metrics, 'vfio_operator_last_successful_pass')).toEqual([
    'vfio_operator_last_successful_pass_timestamp_seconds 5',
  ]);
  expect(await lines(metrics, 'vfio_operator_pass_duration_seconds_count')).toEqual([
    'vfio_operator_pass_duration_seconds_count{outcome="ok"} 1',
    'vfio_operator_pass_duration_seconds_count{outcome="error"} 1',
  ]);
});

it('two agents in one process do not share a registry', async () => {
  const first = createAgentMetrics();
  const second = createAgentMetrics();
  first.setStuck(1);
  expect(await lines(second, 'vfio_operator_stuck_workers')).toEqual(['vfio_operator_stuck_workers 0']);
});

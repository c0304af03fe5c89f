import { expect, it } from 'vitest';
import { createControllerMetrics } from '../../../src/runtime/controller-metrics.ts';

it('counts requests to the API server by verb, as the connection counts them', async () => {
  const metrics = createControllerMetrics();
  metrics.setRequests({ GET: 2, WATCH: 1 });
  metrics.setRequests({ GET: 5, WATCH: 1 });
  const lines = (await metrics.text()).split('\n').filter((line) => line.includes('api_requests'));
  expect(lines.slice(1)).toEqual([
    '# TYPE vfio_operator_controller_api_requests_total counter',
    'vfio_operator_controller_api_requests_total{verb="GET"} 5',
    'vfio_operator_controller_api_requests_total{verb="WATCH"} 1',
  ]);
});

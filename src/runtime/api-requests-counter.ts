// Requests to the API server as a counter, which takes the connection's own count at every scrape; the same for agent and controller.
import { Counter, type Registry } from 'prom-client';

/** Adds the counter. `sent` answers the requests so far by verb. */
export function addApiRequestsCounter(
  name: string,
  registry: Registry,
  sent: () => Readonly<Record<string, number>>,
): void {
  const counter = new Counter({
    name,
    help: 'Requests sent to the API server, by HTTP method; WATCH is a watch.',
    labelNames: ['verb'],
    registers: [],
    collect() {
      this.reset();
      for (const [verb, count] of Object.entries(sent())) this.inc({ verb }, count);
    },
  });
  registry.registerMetric(counter);
}

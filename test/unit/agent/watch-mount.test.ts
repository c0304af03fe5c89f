import { expect, it } from 'vitest';
import { watchMount } from '../../../src/agent/watch-mount.ts';
import { createMemoryFiles } from '../../../src/simulation/memory-files.ts';
import { createVirtualClock } from '../../../src/simulation/virtual-clock.ts';

const [path, onHost] = ['/plugins', '/host/plugins'];

/** In a container both paths lead to one directory: here the mount is a link. */
function aContainer() {
  const clock = createVirtualClock();
  const files = createMemoryFiles({ entries: { '/before': { directory: {} } } });
  const point = (from: string, to: string): void => files.put(from, { link: to });
  point(path, '/before');
  point(onHost, '/before');
  const told: string[] = [];
  const watch = watchMount({ files, clock }, { path, onHost }, (why) => void told.push(why));
  return { clock, files, point, told, watch };
}

it('tells once that the host has another directory there', async () => {
  const { clock, files, point, told } = aContainer();
  await clock.advance(5_000);
  expect(told).toEqual([]);
  files.put('/after', { directory: {} });
  point(onHost, '/after');
  await clock.advance(1_000);
  expect(told).toEqual([]);
  await clock.advance(10_000);
  expect(told).toEqual([
    '/plugins was replaced on the host; this container has the old one, the next one gets the new one',
  ]);
});

it('says nothing while the host has none, or when it is back, or after its end', async () => {
  const { clock, files, point, told, watch } = aContainer();
  files.drop(onHost);
  await clock.advance(10_000);
  point(onHost, '/before');
  await clock.advance(10_000);
  watch.close();
  files.put('/after', { directory: {} });
  point(onHost, '/after');
  await clock.advance(10_000);
  expect(told).toEqual([]);
});

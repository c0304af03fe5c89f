// Kubelet restarts and deletes every socket in its directory; the agent notices and registers anew.
import { registration } from '../../kubelet/contracts.ts';
import { check } from '../chapter.ts';
import type { Chapter, Telling } from '../chapter.ts';
import { pluginDirectory } from '../demo-stage.ts';
import { kubeletCounts } from '../kubelet-view.ts';
import { heard } from '../tap-grpc.ts';
import { pod } from './run-pod.ts';

/** Restarts it and waits until all is as before. */
export async function restartKubelet({ stage, paint }: Telling): Promise<Chapter> {
  const { kubelet, record, control, files } = stage;
  const sockets = (): readonly string[] =>
    files
      .list(pluginDirectory)
      .filter((name) => name.endsWith('.sock') && name !== 'kubelet.sock')
      .toSorted();
  const counts = kubeletCounts(kubelet);
  const held = [...kubelet.held(pod.namespace, pod.name)];
  const drivers = control.snapshot();
  const before = sockets();
  const mark = record.happenings.length;
  await stage.when(kubelet.restart());
  const same = (): boolean =>
    JSON.stringify(kubeletCounts(kubelet)) === JSON.stringify(counts) &&
    counts.every(({ resource }) => kubelet.socket(resource) !== null);
  const back = await stage.until(same, 30_000);
  const happenings = record.since(mark);
  const again = heard(happenings, registration.register);
  const after = sockets();
  return {
    name: 'KubeletRestart',
    title: 'Kubelet restarts',
    parts: [
      {
        says:
          'At its start kubelet deletes all sockets in its directory and has forgotten every plugin. It does not call back: who is ' +
          'not noticed is lost. The agent sees that its sockets are gone, makes new ones and registers again.',
      },
      {
        shows: again
          .map(({ request }) =>
            [
              paint('bold', request.resourceName),
              `  deleted           ${before.find((name) => sameResource(name, request.endpoint)) ?? 'nothing'}`,
              `  registered again  ${request.endpoint}`,
            ].join('\n'),
          )
          .join('\n'),
      },
    ],
    checks: [
      check('kubelet counts what it counted before', back, true),
      check(
        'every socket of before is gone, and each resource has a new one',
        [before.filter((name) => after.includes(name)), again.map(({ request }) => request.endpoint).toSorted()],
        [[], after],
      ),
      check(
        'the pod runs on with its devices',
        [kubelet.phase(pod.namespace, pod.name)?.phase, [...kubelet.held(pod.namespace, pod.name)]],
        ['Running', held],
      ),
      check(
        'no device was touched',
        [control.snapshot(), happenings.filter(({ kind }) => kind === 'Write')],
        [drivers, []],
      ),
    ],
  };
}

/** Names of our sockets are PREFIX-HASH_OF_RESOURCE-INSTANCE.sock. */
function sameResource(a: string, b: string): boolean {
  const hash = (name: string): string => name.slice(0, name.lastIndexOf('-'));
  return hash(a) === hash(b);
}

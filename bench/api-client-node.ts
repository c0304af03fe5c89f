// A program of bench/api-connection.ts: the same with @kubernetes/client-node. Argument: kubeconfig; without a second one it only reads
// that and watches nothing.
import { CustomObjectsApi, KubeConfig, makeInformer } from '@kubernetes/client-node';

const [file = '', watch] = process.argv.slice(2);
const config = new KubeConfig();
config.loadFromFile(file);
if (watch === undefined) {
  process.stdout.write('0\n');
  setInterval(() => undefined, 60_000);
} else {
  const objects = config.makeApiClient(CustomObjectsApi);
  const what = { group: 'vfio-operator.dev', version: 'v1alpha1', plural: 'vfiopolicies' };
  const informer = makeInformer(config, '/apis/vfio-operator.dev/v1alpha1/vfiopolicies', () =>
    objects.listClusterCustomObject(what),
  );
  informer.on('add', () => process.stdout.write('1\n'));
  informer.on('error', () => setTimeout(() => void informer.start(), 1000));
  await informer.start();
}

// A program of bench/api-connection.ts: watches the policies of a server with our own connection. Arguments: kubeconfig, or port and
// directory of a service account.
import { createApiConnection } from '../src/kube/api-connection.ts';
import { type ClusterAccess, inClusterAccess } from '../src/kube/cluster-access.ts';
import { createHttp } from '../src/kube/http-adapter.ts';
import { readKubeconfig } from '../src/kube/kubeconfig.ts';
import { startReflector } from '../src/kube/reflector.ts';
import { createClock } from '../src/runtime/clock-adapter.ts';
import { createFiles } from '../src/runtime/files-adapter.ts';
import { createRandom } from '../src/runtime/random-adapter.ts';

const [first = '', directory] = process.argv.slice(2);
const files = createFiles();
const clock = createClock();

function access(): ClusterAccess | Promise<ClusterAccess> {
  if (directory === undefined) return readKubeconfig({ files, path: first, address: null });
  return inClusterAccess({ files, serviceHost: '127.0.0.1', servicePort: first, address: null, directory });
}

const { server, credentials } = await access();
const http = createHttp({ server, credentials });
const connection = createApiConnection({ http, credentials, clock, server, userAgent: 'bench' });
startReflector({
  connection,
  clock,
  random: createRandom(),
  path: '/apis/vfio-operator.dev/v1alpha1/vfiopolicies',
  keep: (object) => object,
  onChange: (names) => process.stdout.write(`${names.length}\n`),
});

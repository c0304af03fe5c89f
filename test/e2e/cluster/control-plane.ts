// A control plane on the test machine's loopback: etcd and kube-apiserver, and on request the controller manager and the scheduler, all
// real. Ports and files are its own, so several can run at once; nothing is left of it when the test ends, however it ends.

import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scratchDirectory } from '../lab/cache.ts';
import { attempt } from '../lab/command.ts';
import { LabError } from '../lab/lab-error.ts';
import { newApiClient } from './api-client.ts';
import type { ApiClient } from './api-client.ts';
import {
  admission,
  apiServerFlags,
  etcdFlags,
  flagsOf,
  kubeconfigDocument,
  writeTokens,
} from './control-plane-files.ts';
import { applyCrds } from './crds.ts';
import { programPaths } from './programs.ts';
import { freePorts, newService } from './service.ts';
import type { Service } from './service.ts';
import { until } from './until.ts';

/** Where a guest reaches the API server (the lab's closed forwarding), and the `kubernetes` service in a cluster. */
export const GUEST_API_SERVER = 'https://10.0.2.100:6443';

export interface ControlPlaneOptions {
  /** Service accounts, garbage collection, DaemonSets, Deployments; default false. */
  readonly controllerManager?: boolean;
  /** Pods get nodes; default false. */
  readonly scheduler?: boolean;
  /** Apply the chart's CRDs and wait until they are served; default true. */
  readonly crds?: boolean;
  /** Names of nodes that get a token as `system:node:NAME` in `system:nodes`. */
  readonly nodes?: readonly string[];
  /** Further users with a token each: name and groups. */
  readonly users?: Readonly<Record<string, readonly string[]>>;
  /** More flags for kube-apiserver, e.g. `--min-request-timeout=10`. */
  readonly apiServerFlags?: readonly string[];
  readonly controllerManagerFlags?: readonly string[];
}

/** How a kubectl or helm command ended. */
export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ControlPlane {
  /** Of the API server, on 127.0.0.1. */
  readonly port: number;
  readonly url: string;
  /** Its certificate and the authority that signed it (PEM); its key, for proxies that speak in its name. */
  readonly caFile: string;
  readonly keyFile: string;
  /** A directory of this control plane's, removed with it. */
  readonly directory: string;
  readonly admin: ApiClient;
  readonly etcd: Service;
  readonly etcdUrl: string;
  /** `stop()` is SIGKILL; `stop('SIGTERM')` ends watches in order and may take a minute. */
  readonly apiServer: Service;
  /** Undefined unless asked for. */
  readonly controllerManager: Service | undefined;
  readonly scheduler: Service | undefined;
  /** Token of `admin`, of a node given as `system:node:NAME`, or of another user given. */
  token(user: string): string;
  /** Path of a kubeconfig of `user` (default `admin`) for `server` (default this machine's address). */
  kubeconfig(user?: string, server?: string): string;
  /** The same as text, for a guest or with a token of a service account. */
  kubeconfigText(token: string, server?: string): string;
  /** kubectl as admin; must exit with 0, returns stdout. */
  kubectl(parameters: readonly string[], input?: string): Promise<string>;
  /** kubectl as admin or `user`; a failing one is a result. */
  tryKubectl(parameters: readonly string[], input?: string, user?: string): Promise<CommandEnd>;
  /** helm as admin; must exit with 0, returns stdout. */
  helm(parameters: readonly string[]): Promise<string>;
  /** A token as a pod's: of a service account, bound to a pod (hence to its node) when one is named. */
  serviceAccountToken(namespace: string, account: string, pod?: string): Promise<string>;
  /** Ends everything: the API server first, then etcd. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts it and waits until it serves; builds the programs first when the cache lacks them. Throws LabError. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const programs = await programPaths(['etcd', 'kube-apiserver', 'kubectl']);
  const extra = {
    controllerManager:
      options.controllerManager === true
        ? (await programPaths(['kube-controller-manager']))['kube-controller-manager']
        : undefined,
    scheduler: options.scheduler === true ? (await programPaths(['kube-scheduler']))['kube-scheduler'] : undefined,
  };
  const directory = scratchDirectory(tmpdir(), 'vfio-cluster-');
  const [etcdPort = 0, peerPort = 0, port = 0, managerPort = 0, schedulerPort = 0] = await freePorts(5);
  const tokens = writeTokens(directory, options);
  const token = (user: string): string => {
    const found = tokens.get(user);
    if (found === undefined)
      throw new LabError(`No token was asked for ${user}; there are ${[...tokens.keys()].join(', ')}.`);
    return found;
  };
  const certificates = join(directory, 'certificates');
  const caFile = join(certificates, 'apiserver.crt');
  const url = `https://127.0.0.1:${port}`;
  const admin = newApiClient({ port, token: token('admin'), ca: () => readFileSync(caFile, 'utf8') });
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const healthy = (path: string) => async (): Promise<boolean> =>
    (await admin.request({ path, timeoutMs: 5_000 })).status === 200;

  const kubeconfigText = (bearer: string, server = url): string =>
    kubeconfigDocument(server, readFileSync(caFile), bearer);
  const kubeconfig = (user = 'admin', server = url): string => {
    const path = join(directory, `${user.replaceAll(':', '-')}-${server.replace(/\W+/g, '-')}.kubeconfig`);
    writeFileSync(path, kubeconfigText(token(user), server), { mode: 0o600 });
    return path;
  };

  const etcd = newService({
    name: 'etcd',
    program: programs.etcd,
    flags: etcdFlags(directory, etcdUrl, `http://127.0.0.1:${peerPort}`),
    log: join(directory, 'etcd.log'),
    ready: () => answers(`${etcdUrl}/health`),
  });
  const apiServer = newService({
    name: 'kube-apiserver',
    program: programs['kube-apiserver'],
    flags: [
      ...apiServerFlags(directory, certificates, etcdUrl, port),
      ...admission(options),
      ...(options.apiServerFlags ?? []),
    ],
    log: join(directory, 'kube-apiserver.log'),
    ready: healthy('/readyz'),
    // On SIGTERM it waits up to a minute for its clients' connections.
    stopSignal: 'SIGKILL',
  });
  const client = (
    name: string,
    program: string | undefined,
    securePort: number,
    flags: () => readonly string[],
  ): Service | undefined =>
    program === undefined
      ? undefined
      : newService({
          name,
          program,
          flags: [
            ...flagsOf({
              kubeconfig: join(directory, `${name}.kubeconfig`),
              'leader-elect': 'false',
              'bind-address': '127.0.0.1',
              'secure-port': String(securePort),
              'cert-dir': join(directory, name),
            }),
            ...flags(),
          ],
          log: join(directory, `${name}.log`),
          ready: () => accepts(securePort),
        });
  const controllerManager = client('kube-controller-manager', extra.controllerManager, managerPort, () => [
    `--service-account-private-key-file=${join(directory, 'service-accounts.key')}`,
    `--root-ca-file=${caFile}`,
    ...(options.controllerManagerFlags ?? []),
  ]);
  const scheduler = client('kube-scheduler', extra.scheduler, schedulerPort, () => []);

  const tryKubectl: ControlPlane['tryKubectl'] = (parameters, input, user) =>
    command(programs.kubectl, [`--kubeconfig=${kubeconfig(user)}`, ...parameters], directory, input);
  const stop = async (): Promise<void> => {
    admin.close();
    for (const one of [scheduler, controllerManager, apiServer, etcd]) await one?.stop('SIGKILL');
    if (process.env['VFIO_LAB_KEEP'] !== '1') rmSync(directory, { recursive: true, force: true });
  };

  const controlPlane: ControlPlane = {
    port,
    url,
    caFile,
    keyFile: join(certificates, 'apiserver.key'),
    directory,
    admin,
    etcd,
    etcdUrl,
    apiServer,
    controllerManager,
    scheduler,
    token,
    kubeconfig,
    kubeconfigText,
    kubectl: async (parameters, input) =>
      succeeded(`kubectl ${parameters.join(' ')}`, await tryKubectl(parameters, input)),
    tryKubectl,
    helm: async (parameters) => {
      const { helm } = await programPaths(['helm']);
      const end = await command(helm, [`--kubeconfig=${kubeconfig()}`, ...parameters], directory);
      return succeeded(`helm ${parameters.join(' ')}`, end);
    },
    serviceAccountToken: (namespace, account, pod) => requestToken(admin, namespace, account, pod),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  try {
    await etcd.start();
    await apiServer.start();
    for (const name of ['kube-controller-manager', 'kube-scheduler'])
      writeFileSync(join(directory, `${name}.kubeconfig`), kubeconfigText(token(`system:${name}`)), { mode: 0o600 });
    await controllerManager?.start();
    await scheduler?.start();
    await untilServed(admin, options.crds ?? true, options.controllerManager ?? false);
    return controlPlane;
  } catch (error) {
    await stop();
    throw error;
  }
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const sent = httpRequest(address, { timeout: 2_000, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    sent.once('timeout', () => sent.destroy(new Error('too late')));
    sent.once('error', () => resolve(false));
    sent.end();
  });
}

/** Whether something listens on the port; these programs open it when all else is set up. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, timeout: 2_000 }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('timeout', () => socket.destroy(new Error('too late')));
  });
}

/** The default namespace, its service account where somebody makes one, the CRDs where wanted. */
async function untilServed(admin: ApiClient, crds: boolean, accounts: boolean): Promise<void> {
  const wanted = ['/api/v1/namespaces/default', '/api/v1/namespaces/kube-system'];
  if (accounts) wanted.push('/api/v1/namespaces/default/serviceaccounts/default');
  if (crds) await applyCrds(admin);
  for (const path of wanted) {
    await until(path, async () => (await admin.request({ path })).status === 200);
  }
}

async function command(
  program: string,
  parameters: readonly string[],
  home: string,
  input?: string,
): Promise<CommandEnd> {
  const env = { HOME: home, KUBECACHEDIR: join(home, 'kube-cache'), KUBERC: 'off' };
  if (input === undefined) return attempt([program, ...parameters], { env });
  const file = join(home, `input-${randomBytes(6).toString('hex')}`);
  writeFileSync(file, input);
  // The shell only gives it the file as its stdin; nothing of the parameters is expanded.
  return attempt(['sh', '-c', 'file=$1; shift; exec "$@" < "$file"', 'sh', file, program, ...parameters], { env });
}

function succeeded(what: string, end: CommandEnd): string {
  if (end.code === 0) return end.stdout;
  throw new LabError(`${what} exited with ${end.code ?? 'a signal'}.`, { detail: `${end.stdout}\n${end.stderr}` });
}

async function requestToken(
  admin: ApiClient,
  namespace: string,
  account: string,
  pod: string | undefined,
): Promise<string> {
  const bound = pod === undefined ? {} : { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod } };
  const answer = await admin.expect({
    method: 'POST',
    path: `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600, ...bound } },
  });
  return (answer['status'] as { token: string }).token;
}

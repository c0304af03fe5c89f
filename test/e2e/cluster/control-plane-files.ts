// What the programs of a control plane are started with: flags, tokens, keys, kubeconfigs.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ControlPlaneOptions } from './control-plane.ts';

/** One line per user, and the key that signs service accounts' tokens. */
export function writeTokens(directory: string, options: ControlPlaneOptions): ReadonlyMap<string, string> {
  const users: readonly (readonly [string, readonly string[]])[] = [
    ['admin', ['system:masters']],
    ['system:kube-controller-manager', ['system:masters']],
    ['system:kube-scheduler', []],
    ...(options.nodes ?? []).map((name) => [`system:node:${name}`, ['system:nodes']] as const),
    ...Object.entries(options.users ?? {}),
  ];
  const tokens = new Map(users.map(([name]) => [name, randomBytes(24).toString('hex')]));
  const lines = users.map(([name, groups], index) => `${tokens.get(name)},${name},user-${index},"${groups.join(',')}"`);
  writeFileSync(join(directory, 'tokens.csv'), `${lines.join('\n')}\n`, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(directory, 'service-accounts.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  return tokens;
}

/** etcd for one test: nothing needs to outlive the machine. */
export function etcdFlags(directory: string, client: string, peer: string): readonly string[] {
  return flagsOf({
    name: 'test',
    'data-dir': join(directory, 'etcd'),
    'unsafe-no-fsync': 'true',
    'log-level': 'warn',
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `test=${peer}`,
  });
}

/** kube-apiserver on loopback, with tokens, RBAC and the node authorizer. */
export function apiServerFlags(
  directory: string,
  certificates: string,
  etcdUrl: string,
  port: number,
): readonly string[] {
  const key = join(directory, 'service-accounts.key');
  return flagsOf({
    'etcd-servers': etcdUrl,
    'bind-address': '127.0.0.1',
    'secure-port': String(port),
    'cert-dir': certificates,
    // Its certificate is made for this address, too: guests reach it there.
    'advertise-address': '10.0.2.100',
    'endpoint-reconciler-type': 'none',
    'service-cluster-ip-range': '10.96.0.0/16',
    'token-auth-file': join(directory, 'tokens.csv'),
    'authorization-mode': 'Node,RBAC',
    'allow-privileged': 'true',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': key,
    'service-account-signing-key-file': key,
    profiling: 'false',
  });
}

/** `--name=value` for each entry. */
export function flagsOf(values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}

/** Without the controller manager nobody makes service accounts, and the plugin that wants one for every pod would refuse them all. */
export function admission(options: ControlPlaneOptions): readonly string[] {
  const node = '--enable-admission-plugins=NodeRestriction';
  return options.controllerManager === true ? [node] : [node, '--disable-admission-plugins=ServiceAccount'];
}

/** A kubeconfig with one cluster, one user and one context, all called `test`; JSON is YAML. */
export function kubeconfigDocument(server: string, ca: Buffer, token: string): string {
  return `${JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': ca.toString('base64') } }],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  })}\n`;
}

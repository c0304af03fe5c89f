// Where the API server is and who we are there: from the pod we run in, or from a kubeconfig file. Another address for the same
// server may be given, for hosts on which the service address leads nowhere (no kube-proxy).
import type { Files } from '../runtime/ports.ts';
import { createFileCredentials, type CredentialSources } from './file-credentials.ts';
import type { Credentials } from './ports.ts';

export interface ServerAddress {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** In front of every path, empty or beginning with `/`. */
  readonly pathPrefix: string;
}

export interface ClusterAccess {
  readonly server: ServerAddress;
  readonly credentials: Credentials;
}

/** What was given does not lead to an API server; the message says what, where, and what to do. */
export class AccessError extends Error {
  override readonly name = 'AccessError';
}

/** Where kubelet mounts a service account into every container. */
const serviceAccountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface InClusterOptions {
  readonly files: Files;
  /** `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, as kubelet sets them in every container. */
  readonly serviceHost: string | undefined;
  readonly servicePort: string | undefined;
  /** `HOST:PORT` or an https URL to use instead; null: the service's address. */
  readonly address: string | null;
  readonly directory?: string;
}

/** Access of a pod. Reads no file yet. Throws `AccessError` outside a pod when no address is given, or for a bad one. */
export function inClusterAccess(options: InClusterOptions): ClusterAccess {
  const { files, serviceHost = '', servicePort = '', address, directory = serviceAccountDirectory } = options;
  if (address === null && (serviceHost === '' || servicePort === ''))
    throw new AccessError(
      'no API server: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod; give --kubeconfig FILE, --api-server HOST:PORT, or --policies DIR to work without a cluster',
    );
  const server = address === null ? toServerAddress(joinHostPort(serviceHost, servicePort)) : toServerAddress(address);
  const sources: CredentialSources = {
    token: { file: `${directory}/token` },
    ca: { file: `${directory}/ca.crt` },
    certificate: null,
    key: null,
    serverName: null,
  };
  return { server, credentials: createFileCredentials(files, sources) };
}

function joinHostPort(host: string, port: string): string {
  return `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
}

/** Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `https://…`; the port's default is 443. Throws `AccessError`. */
export function toServerAddress(text: string): ServerAddress {
  const bad = (why: string): AccessError =>
    new AccessError(`the API server's address '${text}' ${why}; it is HOST:PORT, [IPV6]:PORT or an https URL`);
  if (/^[a-z]+:\/\//i.test(text) && !/^https:\/\//i.test(text)) throw bad('is not https');
  if (!URL.canParse(/^https:/i.test(text) ? text : `https://${text}`)) throw bad('cannot be read');
  const url = new URL(/^https:/i.test(text) ? text : `https://${text}`);
  if (url.username !== '' || url.search !== '' || url.hash !== '') throw bad('holds more than an address');
  const port = url.port === '' ? 443 : Number(url.port);
  return { host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port, pathPrefix: url.pathname.replace(/\/+$/, '') };
}

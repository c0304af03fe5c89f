// A cluster by a kubeconfig file, for programs that people start: contexts, certificates, tokens and exec plugins as kubectl knows them.
// The Kubernetes client library reads it and is loaded only here, when there is such a file: it costs a process about 75 MB.
import type { KubeConfig } from '@kubernetes/client-node';
import { AccessError, type ClusterAccess, toServerAddress } from './cluster-access.ts';
import type { Credentials, TlsMaterial } from './ports.ts';

export interface KubeconfigChoice {
  /** Null: KUBECONFIG or ~/.kube/config, as kubectl does. */
  readonly file: string | null;
  /** Null: the current context. */
  readonly context: string | null;
  /** `HOST:PORT` or an https URL to use instead of the file's server; null: that one. */
  readonly address: string | null;
}

/** Reads a kubeconfig. Throws `AccessError` with what to do when it cannot be used. */
export async function openKubeconfig({ file, context, address }: KubeconfigChoice): Promise<ClusterAccess> {
  const { KubeConfig: Config } = await import('@kubernetes/client-node');
  const config = new Config();
  const name = file ?? 'the kubeconfig';
  try {
    if (file === null) config.loadFromDefault();
    else config.loadFromFile(file);
    if (context !== null) config.setCurrentContext(context);
  } catch (error) {
    throw new AccessError(`${name} cannot be read: ${wordsOf(error)}`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null)
    throw new AccessError(
      `${name} has no cluster for context '${config.getCurrentContext()}'; kubectl config get-contexts lists them`,
    );
  if (cluster.skipTLSVerify)
    throw new AccessError(
      `${name} says insecure-skip-tls-verify, which is not supported: give certificate-authority instead`,
    );
  return { server: toServerAddress(address ?? cluster.server), credentials: await createCredentials(config, name) };
}

interface Shown {
  readonly token: string | null;
  readonly tls: TlsMaterial;
}

/** What the library would show the server. It is asked again after a 401: exec plugins and token files give another token then. */
async function createCredentials(config: KubeConfig, name: string): Promise<Credentials> {
  let shown = await readShown(config, name);
  let asking = false;
  const askAgain = async (): Promise<void> => {
    asking = true;
    try {
      const fresh = await readShown(config, name);
      const same = JSON.stringify(fresh.tls) === JSON.stringify(shown.tls);
      shown = same ? { ...fresh, tls: shown.tls } : fresh;
    } catch {
      // What was read before goes on serving; the next 401 asks again.
    } finally {
      asking = false;
    }
  };
  return {
    token: () => shown.token,
    tls: () => shown.tls,
    forget() {
      if (!asking) void askAgain();
    },
  };
}

async function readShown(config: KubeConfig, name: string): Promise<Shown> {
  const options: Parameters<KubeConfig['applyToHTTPSOptions']>[0] = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    throw new AccessError(`${name}: credentials cannot be had: ${wordsOf(error)}`, { cause: error });
  }
  const authorization = readAuthorization(options.headers);
  if (authorization !== null && !/^bearer /i.test(authorization))
    throw new AccessError(`${name}: only bearer tokens and client certificates are supported`);
  return {
    token: authorization === null ? null : authorization.slice('bearer '.length).trim(),
    tls: {
      ca: toPem(options.ca),
      certificate: toPem(options.cert),
      key: toPem(options.key),
      serverName: options.servername ?? null,
    },
  };
}

function readAuthorization(headers: unknown): string | null {
  if (typeof headers !== 'object' || headers === null) return null;
  const value: unknown = Object.entries(headers).find(([header]) => header.toLowerCase() === 'authorization')?.[1];
  return typeof value === 'string' ? value : null;
}

function toPem(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : null;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

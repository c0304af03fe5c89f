// A kubeconfig file as far as an agent on its host needs it: the current context's server, and a token or client certificate, given or
// in files that are followed. What it does not know how to honour it refuses in words: a setting that is ignored in silence would
// leave somebody believing in it. The YAML library is loaded only here.
import { FileError, type Files } from '../runtime/ports.ts';
import { AccessError, type ClusterAccess, toServerAddress } from './cluster-access.ts';
import { createFileCredentials, type CredentialSource } from './file-credentials.ts';
import { isRecord } from './kube-object.ts';

export interface KubeconfigOptions {
  readonly files: Files;
  readonly path: string;
  /** `HOST:PORT` or an https URL to use instead of the file's server. */
  readonly address: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** Settings that change who we are or whom we trust, and that this reader does not carry out. */
const refused: Readonly<Record<string, string>> = {
  exec: 'a credential plugin, which the agent never runs; use a client certificate or a token file',
  'auth-provider': 'an auth provider, which no longer exists in Kubernetes; use a client certificate or a token file',
  username: 'a password, which API servers no longer take; use a client certificate or a token file',
  as: 'impersonation; give a user of its own',
  'as-uid': 'impersonation; give a user of its own',
  'as-groups': 'impersonation; give a user of its own',
  'as-user-extra': 'impersonation; give a user of its own',
  'insecure-skip-tls-verify': 'a server that is not to be verified; give its certificate authority instead',
  'proxy-url': 'a proxy; the agent dials its API server and nothing else',
};

/** Reads it once; the files it names are followed. Throws `AccessError`. */
export async function readKubeconfig({ files, path, address }: KubeconfigOptions): Promise<ClusterAccess> {
  const document = await parse(path, readText(files, path));
  const say = (why: string): AccessError => new AccessError(`${path}: ${why}`);
  const named = (list: string, field: string, name: unknown): Fields => {
    const entries: readonly unknown[] = Array.isArray(document[list]) ? document[list] : [];
    const entry = entries.find((one) => isRecord(one) && one.name === name);
    const value = isRecord(entry) ? entry[field] : undefined;
    if (!isRecord(value)) throw say(`${list} has no entry '${String(name)}' with '${field}'`);
    return value;
  };
  const current = document['current-context'];
  if (typeof current !== 'string' || current === '') throw say('current-context is not set');
  const context = named('contexts', 'context', current);
  const cluster = named('clusters', 'cluster', context.cluster);
  const user = named('users', 'user', context.user);
  for (const [field, what] of Object.entries(refused)) {
    const value = cluster[field] ?? user[field];
    if (value !== undefined && value !== null && value !== false && value !== '')
      throw say(`'${field}' asks for ${what}`);
  }
  const text = (of: Fields, field: string): string | null => {
    const value = of[field] ?? null;
    if (value !== null && typeof value !== 'string') throw say(`'${field}' is no text`);
    return value === '' ? null : value;
  };
  const inFile = (of: Fields, field: string): CredentialSource => {
    const file = text(of, field);
    return file === null ? null : { file: file.startsWith('/') ? file : `${directoryOf(path)}/${file}` };
  };
  /** What is given in the file itself wins over the file it names, as in client-go. */
  const given = (of: Fields, field: string): CredentialSource => {
    const data = text(of, `${field}-data`);
    return data === null ? inFile(of, field) : { text: decode(data, () => say(`'${field}-data' is not base64`)) };
  };
  const token = text(user, 'token');
  const server = address ?? text(cluster, 'server');
  if (server === null) throw say(`cluster '${String(context.cluster)}' has no server`);
  const sources = {
    token: inFile(user, 'tokenFile') ?? (token === null ? null : { text: token }),
    ca: given(cluster, 'certificate-authority'),
    certificate: given(user, 'client-certificate'),
    key: given(user, 'client-key'),
    serverName: text(cluster, 'tls-server-name'),
  };
  if ((sources.certificate === null) !== (sources.key === null))
    throw say('client certificate and key belong together');
  if (sources.token === null && sources.certificate === null)
    throw say(`user '${String(context.user)}' has neither a token nor a client certificate`);
  return { server: toServerAddress(server), credentials: createFileCredentials(files, sources) };
}

function readText(files: Files, path: string): string {
  try {
    return files.readText(path);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    throw new AccessError(`cannot read the kubeconfig (${error.message})`, { cause: error });
  }
}

async function parse(path: string, text: string): Promise<Fields> {
  const { parseYaml } = await import('./parse-yaml.ts');
  try {
    const document = parseYaml(text);
    if (isRecord(document)) return document;
  } catch (error) {
    throw new AccessError(`${path}: no YAML: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  throw new AccessError(`${path}: no kubeconfig`);
}

function decode(data: string, error: () => AccessError): string {
  const packed = data.replaceAll(/\s/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(packed)) throw error();
  return atob(packed);
}

function directoryOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.';
}

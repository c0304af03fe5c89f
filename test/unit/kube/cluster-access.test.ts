import { describe, expect, it } from 'vitest';
import { inClusterAccess, toServerAddress } from '../../../src/kube/cluster-access.ts';
import { readKubeconfig } from '../../../src/kube/kubeconfig.ts';
import { FileError, type FileStat, type Files } from '../../../src/runtime/ports.ts';

/** Files that are only read. */
function readOnly(contents: Readonly<Record<string, string>>): Files {
  const find = (operation: string, path: string): string => {
    const text = contents[path];
    if (text === undefined) throw new FileError(operation, path, 'ENOENT');
    return text;
  };
  const stat = (path: string): FileStat => ({ size: find('stat', path).length, inode: 1, device: 1 }) as FileStat;
  return { readText: (path: string) => find('read', path), stat } as Files;
}

describe("the server's address", () => {
  it.each([
    ['10.0.0.1:6443', { host: '10.0.0.1', port: 6443, pathPrefix: '' }],
    ['api.example', { host: 'api.example', port: 443, pathPrefix: '' }],
    ['[fd00::1]:6443', { host: 'fd00::1', port: 6443, pathPrefix: '' }],
    ['https://api.example:6443/', { host: 'api.example', port: 6443, pathPrefix: '' }],
    [
      'https://rancher.example/k8s/clusters/c-1/',
      { host: 'rancher.example', port: 443, pathPrefix: '/k8s/clusters/c-1' },
    ],
  ])('%s', (text, expected) => {
    expect(toServerAddress(text)).toEqual(expected);
  });

  it.each(['http://api.example', 'fd00::1:6443:x', '', 'https://user@api.example', 'api.example:99999', 'api?x=1'])(
    'is not %s',
    (text) => {
      expect(() => toServerAddress(text)).toThrow(/address '.*'.*HOST:PORT/);
    },
  );
});

describe('access of a pod', () => {
  const files = readOnly({ '/sa/token': 'secret\n', '/sa/ca.crt': 'CA' });
  const usual = { files, serviceHost: '10.96.0.1', servicePort: '443', address: null, directory: '/sa' };

  it('is the service and what kubelet mounts', () => {
    const access = inClusterAccess(usual);
    expect(access.server).toEqual({ host: '10.96.0.1', port: 443, pathPrefix: '' });
    expect(access.credentials.token()).toBe('secret');
    expect(access.credentials.tls()).toEqual({ ca: 'CA', certificate: null, key: null, serverName: null });
    expect(access.credentials.tls()).toBe(access.credentials.tls());
  });

  it('takes IPv6 as kubelet writes it, and another address instead', () => {
    expect(inClusterAccess({ ...usual, serviceHost: 'fd00::1' }).server.host).toBe('fd00::1');
    expect(inClusterAccess({ ...usual, address: '192.0.2.7:6443' }).server).toMatchObject({
      host: '192.0.2.7',
      port: 6443,
    });
  });

  it('outside a pod says what to give', () => {
    expect(() => inClusterAccess({ ...usual, serviceHost: undefined })).toThrow(/--kubeconfig FILE.*--policies DIR/);
  });
});

describe('a kubeconfig', () => {
  const kubeconfig = (cluster: object, user: object): string =>
    JSON.stringify({
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
    });
  const read = (text: string, others: Readonly<Record<string, string>> = {}, address: string | null = null) =>
    readKubeconfig({
      files: readOnly({ '/etc/kubernetes/kubelet.conf': text, ...others }),
      path: '/etc/kubernetes/kubelet.conf',
      address,
    });

  it("of kubelet's kind: an authority as data, a certificate in a file that is followed", async () => {
    const pem = '/var/lib/kubelet/pki/kubelet-client-current.pem';
    const text = kubeconfig(
      { server: 'https://10.0.0.1:6443', 'certificate-authority-data': btoa('CA') },
      { 'client-certificate': pem, 'client-key': pem },
    );
    const { server, credentials } = await read(text, { [pem]: 'CERT+KEY' });
    expect(server).toEqual({ host: '10.0.0.1', port: 6443, pathPrefix: '' });
    expect(credentials.tls()).toEqual({ ca: 'CA', certificate: 'CERT+KEY', key: 'CERT+KEY', serverName: null });
    expect(credentials.token()).toBeNull();
  });

  it('with a token, paths relative to itself, a server name, and another address', async () => {
    const cluster = { server: 'https://a', 'certificate-authority': 'pki/ca.crt', 'tls-server-name': 'kubernetes' };
    const text = kubeconfig(cluster, { token: 'given', tokenFile: 'token' });
    const others = { '/etc/kubernetes/pki/ca.crt': 'CA', '/etc/kubernetes/token': 'from-file' };
    const { server, credentials } = await read(text, others, '[::1]:7443');
    expect(server).toMatchObject({ host: '::1', port: 7443 });
    expect(credentials.tls()).toMatchObject({ ca: 'CA', serverName: 'kubernetes' });
    expect(credentials.token()).toBe('from-file');
    expect((await read(kubeconfig({ server: 'https://a' }, { token: 'given' }))).credentials.token()).toBe('given');
  });

  it.each([
    ['exec', {}, { exec: { command: 'aws' } }, /'exec' asks for a credential plugin/],
    ['auth-provider', {}, { 'auth-provider': { name: 'gcp' } }, /auth provider/],
    ['a password', {}, { username: 'a', password: 'b' }, /password/],
    ['impersonation', {}, { as: 'root', token: 'x' }, /impersonation/],
    ['no verification', { 'insecure-skip-tls-verify': true }, { token: 'x' }, /not to be verified/],
    ['a proxy', { 'proxy-url': 'http://p' }, { token: 'x' }, /proxy/],
    ['http', { server: 'http://a' }, { token: 'x' }, /is not https/],
    ['no credentials', {}, {}, /neither a token nor a client certificate/],
    ['a certificate without key', {}, { 'client-certificate': '/c' }, /belong together/],
    ['data that is not base64', { 'certificate-authority-data': '%%%' }, { token: 'x' }, /not base64/],
  ])('refuses %s', async (_name, cluster, user, message) => {
    await expect(read(kubeconfig({ server: 'https://a', ...cluster }, user))).rejects.toThrow(message);
  });

  it.each([
    ['a file that is not there', null, /cannot read the kubeconfig .*ENOENT/],
    ['no YAML', '{token: secret', /^\/k: no YAML: [^\n]*(?<!secret.*)$/],
    ['a list', '[]', /no kubeconfig/],
    ['no current context', '{}', /current-context is not set/],
    ['an unknown context', '{"current-context":"x","contexts":[]}', /contexts has no entry 'x'/],
  ])('says what is wrong with %s', async (_name, text, message) => {
    const files = readOnly(text === null ? {} : { '/k': text });
    await expect(readKubeconfig({ files, path: '/k', address: null })).rejects.toThrow(message);
  });
});

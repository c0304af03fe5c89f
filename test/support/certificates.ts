// Certificates for tests, made on the spot: an authority of its own, and what it signs. ECDSA on P-256, written as DER by hand (RFC
// 5280), so that no program and no library is needed.
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** PEM, both. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** Its own certificate, PEM. */
  readonly certificate: string;
  /** `names`: DNS names and addresses of a server. `organizations`: a client's groups. */
  issue(options: {
    readonly subject: string;
    readonly names?: readonly string[];
    readonly organizations?: readonly string[];
  }): Issued;
}

/** Makes an authority with a name. */
export function createAuthority(name: string): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = distinguishedName(name, []);
  const certify = (subject: Buffer, key: KeyObject, extensions: readonly Buffer[]): string =>
    toCertificate(privateKey, { issuer, subject, key, extensions });
  return {
    certificate: certify(issuer, publicKey, [extension('551d13', true, sequence(Buffer.from('0101ff', 'hex')))]),
    issue({ subject, names = [], organizations = [] }) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = names.map((one) =>
        isIP(one) === 0 ? tagged(0x82, Buffer.from(one)) : tagged(0x87, toBytes(one)),
      );
      const extensions = names.length === 0 ? [] : [extension('551d11', false, sequence(...alternatives))];
      const certificate = certify(distinguishedName(subject, organizations), pair.publicKey, extensions);
      return { certificate, key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) };
    },
  };
}

interface ToBeSigned {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly key: KeyObject;
  readonly extensions: readonly Buffer[];
}

let serial = 1;

function toCertificate(signer: KeyObject, { issuer, subject, key, extensions }: ToBeSigned): string {
  const algorithm = sequence(tagged(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
  serial += 1;
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    tagged(0x02, Buffer.from([serial & 0x7f, 1])),
    algorithm,
    issuer,
    sequence(utcTime(Date.now() - 3_600_000), utcTime(Date.now() + 86_400_000)),
    subject,
    createPublicKey(key.export({ type: 'spki', format: 'pem' })).export({ type: 'spki', format: 'der' }),
    ...(extensions.length === 0 ? [] : [tagged(0xa3, sequence(...extensions))]),
  );
  const signature = tagged(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', body, signer)]));
  const text = sequence(body, algorithm, signature).toString('base64').replaceAll(/.{64}/g, '$&\n').trim();
  return `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
}

/** Length below 65,536. */
function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function distinguishedName(commonName: string, organizations: readonly string[]): Buffer {
  const part = (type: string, value: string): Buffer =>
    tagged(0x31, sequence(tagged(0x06, Buffer.from(type, 'hex')), tagged(0x0c, Buffer.from(value))));
  return sequence(...organizations.map((one) => part('55040a', one)), part('550403', commonName));
}

function extension(type: string, critical: boolean, content: Buffer): Buffer {
  const flag = critical ? [Buffer.from('0101ff', 'hex')] : [];
  return sequence(tagged(0x06, Buffer.from(type, 'hex')), ...flag, tagged(0x04, content));
}

function utcTime(at: number): Buffer {
  const text = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return tagged(0x17, Buffer.from(text.slice(2)));
}

function toBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(head), words(tail)];
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

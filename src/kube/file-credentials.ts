// Who we are, from files that others replace while we run: kubelet renews a pod's token at four fifths of its life and its own client
// certificate well before its end. Guarantees: a replaced file is read at the next request; one that cannot be read for a moment does
// not take away what we have.
import { FileError, type FileStat, type Files } from '../runtime/ports.ts';
import { type Credentials, CredentialsError, type TlsMaterial } from './ports.ts';

/** Where a secret or certificate is: in a file, or given. Null: there is none. */
export type CredentialSource = { readonly file: string } | { readonly text: string } | null;

export interface CredentialSources {
  readonly token: CredentialSource;
  readonly ca: CredentialSource;
  readonly certificate: CredentialSource;
  readonly key: CredentialSource;
  /** See `TlsMaterial`. */
  readonly serverName: string | null;
}

/** Reads nothing until asked. */
export function createFileCredentials(files: Files, sources: CredentialSources): Credentials {
  const token = follow(files, sources.token, 'the token');
  const ca = follow(files, sources.ca, 'the certificate authority');
  const certificate = follow(files, sources.certificate, 'the client certificate');
  const key = follow(files, sources.key, "the client certificate's key");
  let material: TlsMaterial | null = null;
  return {
    token: () => {
      const text = token.read()?.trim() ?? null;
      // What a header may hold.
      if (text !== null && !/^[\x21-\x7e]+$/.test(text))
        throw new CredentialsError(`no token${token.where}; a pod gets one by automountServiceAccountToken`);
      return text;
    },
    tls() {
      const next = { ca: ca.read(), certificate: certificate.read(), key: key.read(), serverName: sources.serverName };
      const same = material?.ca === next.ca && material.certificate === next.certificate && material.key === next.key;
      if (material === null || !same) material = next;
      return material;
    },
    forget() {
      for (const file of [token, ca, certificate, key]) file.forget();
    },
  };
}

interface Followed {
  /** ` in FILE`, for sentences. */
  readonly where: string;
  /** The content; null where there is no source. */
  read(): string | null;
  forget(): void;
}

function follow(files: Files, source: CredentialSource, what: string): Followed {
  if (source === null || 'text' in source) {
    const content = source?.text ?? null;
    return { where: '', read: () => content, forget: () => undefined };
  }
  const { file } = source;
  let seen: string | null = null;
  let content: string | null = null;
  return {
    where: ` in ${file}`,
    read() {
      try {
        const now = fingerprint(files.stat(file));
        if (content !== null && now === seen) return content;
        const text = files.readText(file, 1024 * 1024);
        // While kubelet swaps it a file may be there and still empty.
        if (text.trim() !== '' || content === null) content = text;
        seen = now;
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        if (content === null)
          throw new CredentialsError(
            `cannot read ${what} (${error.message}): is the file mounted, and may we read it?`,
            {
              cause: error,
            },
          );
      }
      // An empty authority would mean the system's own ones.
      if (content === null || content.trim() === '') throw new CredentialsError(`${what} in ${file} is empty`);
      return content;
    },
    forget() {
      seen = null;
    },
  };
}

/** A projected volume swaps a link, so that the file behind the name is another one. */
function fingerprint({ device, inode, size, modifiedAt, changedAt }: FileStat): string {
  return `${device} ${inode} ${size} ${modifiedAt} ${changedAt}`;
}

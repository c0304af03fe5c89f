// HTTP below all our Kubernetes logic: one request, one answer whose body comes in pieces. The real one is `http-adapter.ts`; the
// simulated API server implements the same interface.

export interface HttpRequest {
  readonly method: string;
  /** With query, beginning with `/`. */
  readonly path: string;
  /** Names in lower case. `host` and `content-length` are the adapter's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it comes, to be read once; ends, or throws `HttpError` when the connection broke or `abort` was called. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives the answer up and its connection with it. Harmless once the body has ended. */
  abort(): void;
}

export interface HttpOptions {
  /** Milliseconds until the headers of the answer must be there. */
  readonly deadline: number;
  /** A connection for this request alone: a watch would keep others waiting. */
  readonly ownConnection: boolean;
}

/** Requests to the one server it was built for, never to another: redirects are answers, proxy variables mean nothing. */
export interface Http {
  /** Rejects with `HttpError` when no answer came. Every status is an answer. */
  send(request: HttpRequest, options: HttpOptions): Promise<HttpAnswer>;
  /** Ends all connections; what runs fails with `HttpError` `ECANCELED`. */
  close(): void;
}

/** No answer, or a body that broke off. `code` is the errno's name or OpenSSL's, e.g. `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What TLS needs, as PEM; null where the system's own certificate authorities, or no client certificate, are meant. */
export interface TlsMaterial {
  readonly ca: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
  /** Name the server's certificate must carry; null: the host that is dialled. */
  readonly serverName: string | null;
}

/** How a program shows who it is. Files are read again when they were replaced; while one cannot be read, the last content serves. */
export interface Credentials {
  /** Bearer token, null without one. Throws `CredentialsError` when a file could never be read. */
  token(): string | null;
  /** The same object as long as nothing changed. Throws `CredentialsError` likewise. */
  tls(): TlsMaterial;
  /** The server did not believe us (401): whatever is remembered is read again by the next call. */
  forget(): void;
}

/** What we show the API server cannot be read; the message names the file, what came back, and what to do. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
}

// One connection to one API server, JSON both ways. Guarantees: every HTTP status is an answer, everything else an `ApiError`; no
// request outlives its deadline; a rotated token is noticed, a 401 makes it look again once. It never repeats a request otherwise:
// when to try again is the caller's to decide.
import type { Clock } from '../runtime/ports.ts';
import { ApiError } from './api-error.ts';
import { isRecord } from './kube-object.ts';
import { type Credentials, CredentialsError, type Http, type HttpAnswer, HttpError } from './ports.ts';
import { readJsonLines } from './read-json-lines.ts';

export type ApiMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface ApiRequest {
  readonly method: ApiMethod;
  /** Without query, e.g. `/api/v1/nodes/a`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body; default `application/json`. Server-side apply: `application/apply-patch+yaml`. */
  readonly contentType?: string;
  /** Milliseconds for the whole answer; default 30,000. */
  readonly deadline?: number;
}

export interface ApiAnswer {
  readonly status: number;
  /** The JSON; null when the body was empty; of an error status with another body, its text. */
  readonly body: unknown;
  /** `Retry-After` in milliseconds. */
  readonly retryAfter: number | null;
}

export interface WatchStream {
  /** The answer when its status was not 200; `events` is then empty. */
  readonly refused: ApiAnswer | null;
  /** One JSON value per line. Ends when the server ends it; throws `ApiError` when it broke, or held what is no JSON. */
  readonly events: AsyncIterable<unknown>;
  /** Gives it up: `events` throws `ApiError` `Closed`. Harmless when it has ended. */
  close(): void;
}

/** Verbs as they are counted: the HTTP method, and `WATCH`. */
export type SentVerb = ApiMethod | 'WATCH';

export interface ApiConnection {
  /** One request. Resolves for every HTTP status; rejects with `ApiError` when there was no answer, or none that is JSON. */
  request(request: ApiRequest): Promise<ApiAnswer>;
  /** A watch, on a socket of its own. `query` holds `watch=1` and what the caller wants. */
  watch(request: {
    readonly path: string;
    readonly query: Readonly<Record<string, string>>;
    /** Milliseconds until the headers; default 30,000. */
    readonly deadline?: number;
  }): Promise<WatchStream>;
  readonly server: { readonly host: string; readonly port: number };
  /** Requests sent so far by verb, repetitions after a 401 included. */
  readonly sent: Readonly<Record<SentVerb, number>>;
  close(): void;
}

export interface ConnectionOptions {
  readonly http: Http;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Where `http` goes; for messages and for the proof that finds our own connection in the host's tables. */
  readonly server: { readonly host: string; readonly port: number };
  /** In front of every path, for servers behind a path; default none. */
  readonly pathPrefix?: string;
  readonly userAgent: string;
  /** Most bytes of one answer and of one line of a watch; default 64 MiB. */
  readonly maxAnswerBytes?: number;
}

const usualDeadline = 30_000;
const usualMaxBytes = 64 * 1024 * 1024;

/** Opens nothing: the first request connects. */
export function createApiConnection(options: ConnectionOptions): ApiConnection {
  const { http, credentials, clock, server, userAgent } = options;
  const prefix = options.pathPrefix ?? '';
  const maxBytes = options.maxAnswerBytes ?? usualMaxBytes;
  const sent: Record<SentVerb, number> = { GET: 0, POST: 0, PUT: 0, PATCH: 0, DELETE: 0, WATCH: 0 };
  const where = (what: string): string => `${what} at ${server.host}:${server.port}`;

  const send = async (verb: SentVerb, request: ApiRequest, deadline: number): Promise<HttpAnswer> => {
    const headers: Record<string, string> = { accept: 'application/json', 'user-agent': userAgent };
    const token = credentials.token();
    if (token !== null) headers.authorization = `Bearer ${token}`;
    if (request.body !== undefined) headers['content-type'] = request.contentType ?? 'application/json';
    sent[verb] += 1;
    const answer = await http.send(
      {
        method: request.method,
        path: `${prefix}${request.path}${toQuery(request.query)}`,
        headers,
        body: request.body === undefined ? null : JSON.stringify(request.body),
      },
      { deadline, ownConnection: verb === 'WATCH' },
    );
    return answer;
  };

  /** Sends; a 401 is asked about once more when looking again shows another token or certificate. */
  const exchange = async (verb: SentVerb, request: ApiRequest, deadline: number): Promise<HttpAnswer> => {
    const shown = [credentials.token(), credentials.tls()] as const;
    const answer = await send(verb, request, deadline);
    if (answer.status !== 401) return answer;
    credentials.forget();
    if (credentials.token() === shown[0] && credentials.tls() === shown[1]) return answer;
    answer.abort();
    return send(verb, request, deadline);
  };

  return {
    server,
    sent,
    close: () => http.close(),
    async request(request) {
      const what = where(`${request.method} ${request.path}`);
      const deadline = request.deadline ?? usualDeadline;
      const started = clock.monotonic();
      try {
        const answer = await exchange(request.method, request, deadline);
        const left = Math.max(0, deadline - (clock.monotonic() - started));
        return await readAnswer(what, answer, { clock, left, maxBytes });
      } catch (error) {
        throw toApiError(what, error);
      }
    },
    async watch(request) {
      const what = where(`watch of ${request.path}`);
      const deadline = request.deadline ?? usualDeadline;
      try {
        const answer = await exchange('WATCH', { method: 'GET', path: request.path, query: request.query }, deadline);
        if (answer.status === 200) return openStream(what, answer, maxBytes);
        const refused = await readAnswer(what, answer, { clock, left: deadline, maxBytes });
        return { refused, events: noEvents(), close: () => undefined };
      } catch (error) {
        throw toApiError(what, error);
      }
    },
  };
}

function toQuery(query: Readonly<Record<string, string>> | undefined): string {
  const text = new URLSearchParams(query).toString();
  return text === '' ? '' : `?${text}`;
}

interface ReadLimits {
  readonly clock: Clock;
  /** Milliseconds until the body must have ended. */
  readonly left: number;
  readonly maxBytes: number;
}

async function readAnswer(what: string, answer: HttpAnswer, limits: ReadLimits): Promise<ApiAnswer> {
  let late = false;
  const timer = limits.clock.after(limits.left, () => {
    late = true;
    answer.abort();
  });
  try {
    const text = await readText(what, answer, limits.maxBytes);
    const { status } = answer;
    return { status, body: parseBody(what, status, text), retryAfter: readRetryAfter(answer, limits.clock) };
  } catch (error) {
    if (late) throw new ApiError('Timeout', `${what}: the answer did not end in time`, { cause: error });
    throw error;
  } finally {
    timer.cancel();
  }
}

async function readText(what: string, answer: HttpAnswer, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true });
  let text = '';
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      answer.abort();
      throw new ApiError('TooLarge', `${what}: the answer has more than ${maxBytes} bytes`);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** JSON, whatever the server calls it. What is none may only be the text of an error, as proxies write it. */
function parseBody(what: string, status: number, text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (status >= 400) return text;
    throw new ApiError('BadAnswer', `${what}: status ${status} with a body that is not JSON`, { cause: error });
  }
}

/** RFC 9110 10.2.3: seconds, or a date. The API server also says it in the body of its Status. */
function readRetryAfter({ headers }: HttpAnswer, clock: Clock): number | null {
  const value = headers['retry-after']?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - clock.now());
}

function openStream(what: string, answer: HttpAnswer, maxLineBytes: number): WatchStream {
  let closed = false;
  return {
    refused: null,
    events: readEvents(),
    close() {
      closed = true;
      answer.abort();
    },
  };

  async function* readEvents(): AsyncGenerator {
    try {
      yield* readJsonLines(what, answer.body, maxLineBytes);
    } catch (error) {
      throw closed ? new ApiError('Closed', `${what}: given up`, { cause: error }) : toApiError(what, error);
    } finally {
      answer.abort();
    }
  }
}

async function* noEvents(): AsyncGenerator {}

function toApiError(what: string, error: unknown): unknown {
  if (error instanceof CredentialsError) return new ApiError('Credentials', error.message, { cause: error });
  if (!(error instanceof HttpError)) return error;
  const code = error.code === 'ETIMEDOUT' ? 'Timeout' : error.code === 'ECANCELED' ? 'Closed' : 'Unreachable';
  return new ApiError(code, `${what}: ${error.message}`, { cause: error });
}

/** The message of a Status object, or what else the server said, shortened; for sentences on a refused request. */
export function saidBy({ status, body }: ApiAnswer): string {
  const text = isRecord(body) && typeof body.message === 'string' ? body.message : typeof body === 'string' ? body : '';
  const shortened = text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
  return shortened === '' ? `status ${status}` : `status ${status}: ${shortened}`;
}

// Requests of a test to the API server: JSON both ways over one kept connection, every HTTP status an answer. Deliberately not the
// project's own client, which is what tests look at.

import { Agent, request as httpsRequest } from 'node:https';
import { LabError } from '../lab/lab-error.ts';

/** Any object of the API. */
export interface KubernetesObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query, e.g. `/api/v1/nodes?limit=5`. */
  readonly path: string;
  readonly body?: unknown;
  /** Default `application/json`; a PATCH needs one of the API's patch types. */
  readonly contentType?: string;
  /** Another user's token; default the client's. */
  readonly token?: string;
  /** Milliseconds until the whole answer; default 30,000. */
  readonly timeoutMs?: number;
}

export interface ApiResponse {
  readonly status: number;
  /** The parsed body, or its text when it is not JSON. */
  readonly body: KubernetesObject;
  readonly text: string;
}

export interface ApiClient {
  /** Sends one request. Rejects only when no answer came. */
  request(request: ApiRequest): Promise<ApiResponse>;
  /** As `request`, but the status must be 2xx; returns the body. Throws LabError with the API server's words. */
  expect(request: ApiRequest): Promise<KubernetesObject>;
  /** The items of a list; throws LabError when it cannot be had. */
  list(path: string): Promise<readonly KubernetesObject[]>;
  /** Server-side apply of one object at its path, forced, as the field manager `test`. */
  apply(path: string, object: KubernetesObject): Promise<KubernetesObject>;
  close(): void;
}

export interface ApiClientInput {
  readonly port: number;
  readonly token: string;
  /** PEM, read at every new connection: the API server makes its own at its first start. */
  readonly ca: () => string;
}

export function newApiClient(input: ApiClientInput): ApiClient {
  const agent = new Agent({ keepAlive: true });

  const request = (one: ApiRequest): Promise<ApiResponse> =>
    new Promise((resolve, reject) => {
      const method = one.method ?? 'GET';
      const payload = one.body === undefined ? undefined : JSON.stringify(one.body);
      const fail = (cause: Error): void =>
        reject(new LabError(`${method} ${one.path} got no answer: ${cause.message}.`, { cause }));
      const sent = httpsRequest(
        {
          host: '127.0.0.1',
          port: input.port,
          method,
          path: one.path,
          agent,
          ca: input.ca(),
          timeout: one.timeoutMs ?? 30_000,
          headers: {
            authorization: `Bearer ${one.token ?? input.token}`,
            accept: 'application/json',
            ...(payload === undefined ? {} : { 'content-type': one.contentType ?? 'application/json' }),
          },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.once('error', fail);
          answer.once('end', () => {
            const text = Buffer.concat(chunks).toString();
            resolve({ status: answer.statusCode ?? 0, body: parsed(text), text });
          });
        },
      );
      sent.once('timeout', () => sent.destroy(new Error('it took too long')));
      sent.once('error', fail);
      sent.end(payload);
    });

  const expect: ApiClient['expect'] = async (one) => {
    const { status, body, text } = await request(one);
    if (status >= 200 && status < 300) return body;
    throw new LabError(`${one.method ?? 'GET'} ${one.path} was answered with ${status}.`, { detail: text });
  };
  return {
    request,
    expect,
    list: async (path) => ((await expect({ path }))['items'] ?? []) as readonly KubernetesObject[],
    apply: (path, object) =>
      expect({
        method: 'PATCH',
        path: `${path}?fieldManager=test&force=true`,
        body: object,
        contentType: 'application/apply-patch+yaml',
      }),
    close: () => agent.destroy(),
  };
}

function parsed(text: string): KubernetesObject {
  try {
    return JSON.parse(text) as KubernetesObject;
  } catch {
    return {};
  }
}

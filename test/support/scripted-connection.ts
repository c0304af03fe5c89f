// A connection to an API server that answers what a test tells it to, and remembers what it was asked.
import type { ApiAnswer, ApiConnection, ApiRequest } from '../../src/kube/api-connection.ts';
import { ApiError } from '../../src/kube/api-error.ts';

export interface ScriptedConnection extends ApiConnection {
  /** Requests that were made, oldest first. */
  readonly requests: ApiRequest[];
  /** Answers the next ones; throws what it returns when that is an error. */
  answer: (request: ApiRequest) => ApiAnswer | ApiError | Promise<ApiAnswer>;
}

/** An answer with this status. */
export function anAnswer(status: number, body: unknown = {}, retryAfter: number | null = null): ApiAnswer {
  return { status, body, retryAfter };
}

/** Answers 200 to everything until told otherwise. */
export function scriptedConnection(): ScriptedConnection {
  const sent = { GET: 0, POST: 0, PUT: 0, PATCH: 0, DELETE: 0, WATCH: 0 };
  const requests: ApiRequest[] = [];
  return {
    requests,
    sent,
    server: { host: '10.96.0.1', port: 443 },
    answer: () => anAnswer(200),
    async request(request) {
      sent[request.method] += 1;
      requests.push(request);
      const answer = await this.answer(request);
      if (answer instanceof ApiError) throw answer;
      return answer;
    },
    watch: () => Promise.reject(new ApiError('Unreachable', 'no watch here')),
    close: () => undefined,
  };
}

// An Http port that answers from a script, for what no server of ours would ever say.
import { type Http, type HttpAnswer, HttpError, type HttpRequest } from '../../src/kube/ports.ts';

export interface ScriptedAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces of the body; an object is sent as JSON. */
  readonly body?: readonly Uint8Array[] | object | string;
  /** The body breaks off with this code after its pieces. */
  readonly breaks?: string;
  /** The body never ends. */
  readonly hangs?: boolean;
}

export interface ScriptedHttp extends Http {
  readonly requests: readonly HttpRequest[];
  /** Answers that were given up. */
  readonly aborted: () => number;
}

/** Answers each request by the next entry; an error is thrown instead. */
export function scriptHttp(script: readonly (ScriptedAnswer | Error)[]): ScriptedHttp {
  const requests: HttpRequest[] = [];
  let aborted = 0;
  return {
    requests,
    aborted: () => aborted,
    close: () => undefined,
    async send(request): Promise<HttpAnswer> {
      const next = script[requests.length];
      requests.push(request);
      await Promise.resolve();
      if (next === undefined) throw new Error(`the script has no answer to request ${requests.length}`);
      if (next instanceof Error) throw next;
      const given = Promise.withResolvers<never>();
      given.promise.catch(() => undefined);
      async function* body(script: ScriptedAnswer): AsyncGenerator<Uint8Array> {
        yield* toPieces(script.body ?? '');
        if (script.breaks !== undefined) throw new HttpError(script.breaks, 'scripted');
        if (script.hangs === true) await given.promise;
      }
      return {
        status: next.status ?? 200,
        headers: next.headers ?? {},
        body: body(next),
        abort() {
          aborted += 1;
          given.reject(new HttpError('ECANCELED', 'given up'));
        },
      };
    },
  };
}

function toPieces(body: readonly Uint8Array[] | object | string): readonly Uint8Array[] {
  if (Array.isArray(body) && body.every((piece) => piece instanceof Uint8Array)) return body;
  return [new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body))];
}

// What went wrong with a list or a watch, as a problem that people and programs can read, and how long the server asked to wait.
import { type ApiAnswer, saidBy } from './api-connection.ts';
import { ApiError } from './api-error.ts';
import { isRecord } from './kube-object.ts';

/**
 * Why the items may not be current. `NotFound`: the collection is not there (CRD not installed); `Unauthorized`, `Forbidden`: who we
 * are, or may do; `Unreachable`: no answer, or a server error; `Throttled`: told to come later; `Older`: the server's answer is older
 * than what was known; `Partial`: a list could not be read to its end; `BadAnswer`: an answer that is none.
 */
export type WatchProblemCode =
  'NotFound' | 'Unauthorized' | 'Forbidden' | 'Unreachable' | 'Throttled' | 'Older' | 'Partial' | 'BadAnswer';

export interface WatchProblem {
  readonly code: WatchProblemCode;
  /** What was tried and what came back. */
  readonly message: string;
}

/** A failed try. */
export interface WatchFailure {
  readonly problem: WatchProblem;
  /** Milliseconds the server asked to wait, null when it asked for nothing. */
  readonly retryAfter: number | null;
}

/** The failure that an answer stands for whose status is not 200. */
export function failedAnswer(what: string, answer: ApiAnswer): WatchFailure {
  return {
    problem: { code: codeOf(answer), message: `${what}: ${saidBy(answer)}` },
    retryAfter: answer.retryAfter ?? retryAfterOf(answer.body),
  };
}

/** The failure that a thrown error stands for; a programming error is thrown again. */
export function failedRequest(error: unknown): WatchFailure {
  if (!(error instanceof ApiError)) throw error;
  const { message } = error;
  switch (error.code) {
    case 'Unreachable':
    case 'Timeout':
    case 'Closed':
      return { problem: { code: 'Unreachable', message }, retryAfter: null };
    case 'Credentials':
      return { problem: { code: 'Unauthorized', message }, retryAfter: null };
    case 'BadAnswer':
    case 'TooLarge':
      return { problem: { code: 'BadAnswer', message }, retryAfter: null };
    default:
      return error.code satisfies never;
  }
}

/** Milliseconds from `details.retryAfterSeconds` of a Status object. */
export function retryAfterOf(status: unknown): number | null {
  if (!isRecord(status) || !isRecord(status.details)) return null;
  const seconds = status.details.retryAfterSeconds;
  return typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : null;
}

function codeOf({ status, body }: ApiAnswer): WatchProblemCode {
  switch (status) {
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 429:
      return 'Throttled';
    default:
      if (isTooNew(body)) return 'Older';
      return status >= 500 ? 'Unreachable' : 'BadAnswer';
  }
}

/** The server has not yet come to the version we know (504 Timeout, cause ResourceVersionTooLarge). */
function isTooNew(body: unknown): boolean {
  if (!isRecord(body) || !isRecord(body.details) || !Array.isArray(body.details.causes)) return false;
  return body.details.causes.some((cause: unknown) => isRecord(cause) && cause.reason === 'ResourceVersionTooLarge');
}

// What can be wrong with the simulated API server, and the hand that turns it. A fault that a request meets is decided here; what
// happens to running watches is done at once.
import type { HttpRequest } from '../kube/ports.ts';
import { type ListView, type PlainAnswer, statusAnswer } from './api-server-requests.ts';
import type { ApiWatches } from './api-server-watches.ts';

/** The hand. Everything lasts until it is undone or used up; `heal` undoes all. */
export interface ApiFaults {
  /** Connections are refused and running ones broken. */
  goAway(): void;
  /** Connections are accepted and nothing is answered, also on running watches, as under SIGSTOP. */
  freeze(): void;
  /** Ends `goAway` and `freeze`; what a freeze held back is answered now. */
  comeBack(): void;
  /** Every answer comes so many milliseconds late. */
  delay(milliseconds: number): void;
  /** So many requests get 429 with this Retry-After. */
  throttle(requests: number, seconds: number): void;
  /** So many requests get this status. */
  fail(requests: number, status: number): void;
  /** So many requests are cut after the headers, in the middle of the body. */
  cutAnswers(requests: number): void;
  /** So many continued pages of lists get 410. */
  losePages(requests: number): void;
  /** All requests for the resource (plural) get this status until null. 404: as if its CRD were gone. */
  refuse(resource: string, status: 401 | 403 | 404 | null): void;
  /** Lists show what was so many revisions ago; honest: asked for newer, they say so (504). 0: the present. */
  serveOld(revisions: number, honest: boolean): void;
  /** Forgets the history: a watch from before now gets 410. */
  compact(): void;
  /** Running watches get ERROR 410 and end. */
  expireWatches(): void;
  /** Running watches end in good order. */
  endWatches(): void;
  /** Running watches break in the middle of a line. */
  cutWatches(): void;
  /** Running watches get their last events once more. */
  repeatEvents(count: number): void;
  /** Running watches get this line. */
  garble(line: string): void;
  heal(): void;
}

/** What the server asks before it answers. */
export interface FaultState {
  readonly away: boolean;
  readonly frozen: boolean;
  /** Milliseconds before every answer. */
  readonly late: number;
  /** Versions up to this are compacted away. */
  readonly compacted: number;
  /** How lists look now. */
  view(revision: number): ListView;
  /** A fault instead of the answer; takes one from what is used up. */
  meet(request: HttpRequest, resource: string | null): PlainAnswer | 'cut' | null;
  /** What all requests for the resource get; null: an answer. */
  refusal(resource: string): number | null;
  /** Resolves when the freeze is over. */
  thawed(): Promise<void>;
}

export interface FaultParts {
  readonly watches: ApiWatches;
  readonly revision: () => number;
  /** Breaks what is being answered. */
  readonly breakAnswers: () => void;
}

const reasons: Readonly<Record<number, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  410: 'Expired',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** Nothing is wrong at first. */
export function createApiFaults({ watches, revision, breakAnswers }: FaultParts): ApiFaults & FaultState {
  const left = { throttle: 0, fail: 0, cut: 0, pages: 0 };
  const refused = new Map<string, number>();
  let seconds = 0;
  let status = 500;
  let late = 0;
  let away = false;
  let compacted = 0;
  let back = 0;
  let honest = true;
  let freeze: PromiseWithResolvers<void> | null = null;

  const use = (kind: keyof typeof left): boolean => {
    if (left[kind] === 0) return false;
    left[kind] -= 1;
    return true;
  };
  const comeBack = (): void => {
    away = false;
    freeze?.resolve();
    freeze = null;
    watches.setSilent(false);
  };

  return {
    get away() {
      return away;
    },
    get frozen() {
      return freeze !== null;
    },
    get late() {
      return late;
    },
    get compacted() {
      return compacted;
    },
    view: (now) => ({ revision: Math.max(1, now - back), honest }),
    thawed: () => freeze?.promise ?? Promise.resolve(),
    refusal: (resource) => refused.get(resource) ?? null,
    meet(request, resource) {
      const refusal = resource === null ? undefined : refused.get(resource);
      if (refusal !== undefined) return toStatus(refusal);
      if (use('throttle')) return { ...toStatus(429), headers: { 'retry-after': String(seconds) } };
      if (use('fail')) return toStatus(status);
      if (request.path.includes('continue=') && use('pages')) return toStatus(410);
      return use('cut') ? 'cut' : null;
    },
    goAway() {
      away = true;
      breakAnswers();
      watches.breakAll('ECONNRESET');
    },
    freeze() {
      freeze ??= Promise.withResolvers();
      watches.setSilent(true);
    },
    comeBack,
    delay: (milliseconds) => void (late = milliseconds),
    throttle(requests, after) {
      left.throttle = requests;
      seconds = after;
    },
    fail(requests, code) {
      left.fail = requests;
      status = code;
    },
    cutAnswers: (requests) => void (left.cut = requests),
    losePages: (requests) => void (left.pages = requests),
    refuse(resource, code) {
      if (code === null) refused.delete(resource);
      else refused.set(resource, code);
    },
    serveOld(revisions, isHonest) {
      back = revisions;
      honest = isHonest;
    },
    compact: () => void (compacted = revision()),
    expireWatches: () => watches.expireAll(),
    endWatches: () => watches.endAll(),
    cutWatches: () => watches.breakAll('ECONNRESET'),
    repeatEvents: (count) => watches.repeat(count),
    garble: (line) => watches.sayToAll(`${line}\n`),
    heal() {
      comeBack();
      late = 0;
      back = 0;
      honest = true;
      refused.clear();
      left.throttle = left.fail = left.cut = left.pages = 0;
    },
  };
}

function toStatus(code: number): PlainAnswer {
  const reason = reasons[code] ?? (code === 429 ? 'TooManyRequests' : 'Unknown');
  return statusAnswer(code, reason, `simulated: ${reason}`);
}

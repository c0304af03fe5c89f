// Globs with the meaning fnmatch(3) gives them without flags, which is what kmod matches module aliases with: `*` is any run of
// characters (also `:` and `/`), `?` any one, `[...]` a set, `\` takes the next character as it is; case counts. Compiled once,
// matched in at most pattern × text steps whatever the pattern: only the last `*` is ever tried again.

/** A compiled pattern. */
export interface Glob {
  /** Characters that only match themselves, outside sets: more of them say more about the text. */
  readonly literals: number;
  /**
   * What every matching text contains: it begins with the first part (which may be empty), and the others follow in this order
   * without overlap. An index built on it finds every match and some more.
   */
  readonly runs: readonly [prefix: string, ...later: string[]];
  matches(text: string): boolean;
}

/** A pattern, or why it is none. */
export type CompiledGlob = { readonly glob: Glob } | { readonly glob: null; readonly problem: string };

/** Number of `*` in the text of a pattern: the measure by which the most specific alias wins. */
export function countWildcards(pattern: string): number {
  let count = 0;
  for (let at = pattern.indexOf('*'); at !== -1; at = pattern.indexOf('*', at + 1)) count += 1;
  return count;
}

/**
 * Compiles a pattern. Brackets must pair as kmod demands (the first `]` closes); character classes such as `[[:alpha:]]`, which
 * no alias uses, are refused. Characters are UTF-16 units; modaliases are ASCII.
 */
export function compileGlob(pattern: string): CompiledGlob {
  const problem = findBracketProblem(pattern);
  if (problem !== null) return { glob: null, problem };
  const tokens: Token[] = [];
  let at = 0;
  while (at < pattern.length) {
    const parsed = parseToken(pattern, at);
    if ('problem' in parsed) return { glob: null, problem: parsed.problem };
    if (parsed.token !== star || tokens.at(-1) !== star) tokens.push(parsed.token);
    at = parsed.end;
  }
  return {
    glob: {
      literals: tokens.filter((token) => typeof token === 'number' && token >= 0).length,
      runs: literalRuns(tokens),
      matches: (text) => matchTokens(tokens, text),
    },
  };
}

/** Members of a bracket, as inclusive ranges of character codes. */
interface CharacterSet {
  readonly negated: boolean;
  readonly ranges: readonly (readonly [first: number, last: number])[];
}

/** A character code, `anyOne`, `star`, or a set. */
type Token = number | CharacterSet;
const anyOne = -1;
const star = -2;

type Parsed = { readonly token: Token; readonly end: number } | { readonly problem: string };

/** kmod's rule (`alias_normalize`): a `[` is closed by the first `]`, and no `]` stands alone. */
function findBracketProblem(pattern: string): string | null {
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === ']') return `"]" at character ${at + 1} closes nothing`;
    if (pattern[at] !== '[') continue;
    const end = pattern.indexOf(']', at);
    if (end === -1) return `"[" at character ${at + 1} is never closed`;
    at = end;
  }
  return null;
}

function parseToken(pattern: string, at: number): Parsed {
  switch (pattern[at]) {
    case '*':
      return { token: star, end: at + 1 };
    case '?':
      return { token: anyOne, end: at + 1 };
    case '\\':
      if (at + 1 === pattern.length) return { problem: 'a "\\" at the end takes nothing as it is' };
      return { token: pattern.charCodeAt(at + 1), end: at + 2 };
    case '[':
      return parseSet(pattern, at);
    default:
      return { token: pattern.charCodeAt(at), end: at + 1 };
  }
}

/** A `]` right after the opening is a member; a bracket that then never closes is an ordinary `[`, as in the C library. */
function parseSet(pattern: string, open: number): Parsed {
  let at = open + 1;
  const negated = pattern[at] === '!' || pattern[at] === '^';
  if (negated) at += 1;
  const first = at;
  const ranges: [number, number][] = [];
  while (at < pattern.length) {
    if (pattern[at] === ']' && at > first) return { token: { negated, ranges }, end: at + 1 };
    if (pattern[at] === '[' && /^[:.=]/.test(pattern.slice(at + 1))) {
      return { problem: `"${pattern.slice(at, at + 2)}" begins a character class, which module aliases do not have` };
    }
    const low = parseMember(pattern, at);
    at = low.end;
    const isRange = pattern[at] === '-' && at + 1 < pattern.length && pattern[at + 1] !== ']';
    const high = isRange ? parseMember(pattern, at + 1) : low;
    at = high.end;
    ranges.push([low.code, high.code]);
  }
  return { token: '['.charCodeAt(0), end: open + 1 };
}

function parseMember(pattern: string, at: number): { readonly code: number; readonly end: number } {
  const escaped = pattern[at] === '\\' && at + 1 < pattern.length;
  return { code: pattern.charCodeAt(escaped ? at + 1 : at), end: escaped ? at + 2 : at + 1 };
}

function matchTokens(tokens: readonly Token[], text: string): boolean {
  let token = 0;
  let at = 0;
  let lastStar = -1;
  let starTook = 0;
  while (at < text.length) {
    const wanted = tokens[token];
    if (wanted === star) {
      lastStar = token;
      starTook = at;
      token += 1;
      if (token === tokens.length) return true;
    } else if (wanted !== undefined && matchesOne(wanted, text.charCodeAt(at))) {
      token += 1;
      at += 1;
    } else if (lastStar >= 0) {
      starTook += 1;
      at = starTook;
      token = lastStar + 1;
    } else {
      return false;
    }
  }
  if (tokens[token] === star) token += 1;
  return token === tokens.length;
}

function matchesOne(token: Token, code: number): boolean {
  if (typeof token === 'number') return token === code || token === anyOne;
  return token.ranges.some(([first, last]) => first <= code && code <= last) !== token.negated;
}

/** A `?` or a set ends the list: what follows it has no free position. */
function literalRuns(tokens: readonly Token[]): [string, ...string[]] {
  const runs: [string, ...string[]] = [''];
  for (const token of tokens) {
    if (token === star) runs.push('');
    else if (typeof token === 'number' && token >= 0) runs[runs.length - 1] += String.fromCharCode(token);
    else break;
  }
  if (runs.length > 1 && runs.at(-1) === '') runs.pop();
  return runs;
}

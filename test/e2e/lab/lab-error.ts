// The one error of the lab: what was tried, what came back, and what a person can do about it.
// It is never swallowed: a lab that cannot be had fails the tests that need it.

/** Says what the lab could not do; `hint` is the cure, `detail` what the failing tool printed. */
export class LabError extends Error {
  constructor(
    message: string,
    parts: { readonly hint?: string; readonly detail?: string; readonly cause?: unknown } = {},
  ) {
    const detail = parts.detail?.trim();
    const lines = [message];
    if (detail !== undefined && detail !== '') lines.push(detail.split('\n').slice(-30).join('\n'));
    if (parts.hint !== undefined) lines.push(`What to do: ${parts.hint}`);
    super(lines.join('\n'), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.name = 'LabError';
  }
}

/** Progress for the person who waits, on stderr only: stdout belongs to the program that uses the lab. */
export function say(text: string): void {
  process.stderr.write(`lab: ${text}\n`);
}

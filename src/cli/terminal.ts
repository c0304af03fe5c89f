// What commands print through: answers on standard output, everything else on standard error. Text of a host's files is made
// harmless on its way: no control character of theirs reaches a terminal.

/** Colours by meaning. */
export type Tone = 'good' | 'bad' | 'warn' | 'dim' | 'bold';

/** Gives text a tone; without colour it is the text itself. */
export type Paint = (tone: Tone, text: string) => string;

export interface Terminal {
  readonly paint: Paint;
  /** Prints one text of any number of lines, and ends it with a newline. */
  out(text: string): void;
  /** The same on standard error. */
  note(text: string): void;
}

/** A terminal over two writers. */
export function createTerminal(
  write: (text: string) => void,
  writeNote: (text: string) => void,
  options: { readonly colour: boolean },
): Terminal {
  return {
    paint: options.colour ? paintColour : paintNothing,
    out: (text) => write(`${tame(text)}\n`),
    note: (text) => writeNote(`${tame(text)}\n`),
  };
}

// Select Graphic Rendition parameters of ECMA-48.
const codes: Readonly<Record<Tone, string>> = { good: '32', bad: '31', warn: '33', dim: '2', bold: '1' };

const paintColour: Paint = (tone, text) => (text === '' ? '' : `\u001B[${codes[tone]}m${text}\u001B[0m`);

/** No colour. */
export const paintNothing: Paint = (_tone, text) => text;

/** Keeps newlines and our own colours; every other control character becomes `?`. */
function tame(text: string): string {
  return text.replace(
    /(\u001B\[\d{1,2}m)|[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u2028-\u202E\u2066-\u2069]/g,
    (_match, colour: string | undefined) => colour ?? '?',
  );
}

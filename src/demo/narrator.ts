// Tells chapters to a person: wrapped for reading, in colour where wanted, at a pace that can be followed or all at once.
import { indent } from '../cli/render-table.ts';
import type { Paint } from '../cli/terminal.ts';
import { chapterNames } from './chapter.ts';
import type { Chapter, Check, Part } from './chapter.ts';

export interface NarratorParts {
  /** Prints text and ends it with a newline. */
  readonly print: (text: string) => void;
  readonly paint: Paint;
  /** Columns of the terminal. */
  readonly width: number;
  /** Waits for a reader, `milliseconds` of their time. */
  readonly pause: (milliseconds: number) => Promise<void>;
}

export interface Narrator {
  readonly paint: Paint;
  say(text: string): Promise<void>;
  tell(chapter: Chapter): Promise<void>;
  /** Prints as it is. */
  show(text: string): Promise<void>;
}

/** Longer lines are hard to read. */
const readingWidth = 92;
// Pauses in milliseconds: in all less than 20 seconds.
const perLine = 30;
const perParagraph = 250;
const perChapter = 400;

/** Builds a narrator. */
export function createNarrator({ print, paint, width, pause }: NarratorParts): Narrator {
  const columns = Math.max(40, Math.min(readingWidth, width));
  const say = async (text: string): Promise<void> => {
    print(`\n${wrap(text, columns)}`);
    await pause(perParagraph);
  };
  const show = async (text: string): Promise<void> => {
    print('');
    for (const line of indent(text).split('\n')) {
      print(line);
      await pause(perLine);
    }
  };
  const tellPart = (part: Part): Promise<void> => ('says' in part ? say(part.says) : show(part.shows));
  return {
    paint,
    say,
    show,
    async tell({ name, title, parts, checks }) {
      const number = `${chapterNames.indexOf(name) + 1}/${chapterNames.length}`;
      print(`\n\n${paint('bold', `${number}  ${title}`)}`);
      await pause(perChapter);
      for (const part of parts) await tellPart(part);
      await show(checks.map((one) => renderCheck(one, paint)).join('\n'));
    },
  };
}

function renderCheck({ claim, holds, seen }: Check, paint: Paint): string {
  return holds ? `${paint('good', 'ok')}  ${claim}` : `${paint('bad', 'NOT SO')}  ${claim}\n        seen: ${seen}`;
}

/** Breaks at blanks. Colour codes take no columns, and paragraphs hold none. */
export function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].join('\n');
}

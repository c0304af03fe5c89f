// The alias algorithm's evidence for a person: every candidate best first, why the first one, and what was passed over.
import type { Candidate, DriverChoice } from '../domain/driver-choice.ts';
import { indent, renderTable, type Cell } from './render-table.ts';
import { joinSections } from './render-unread.ts';
import type { Paint } from './terminal.ts';

/** The whole answer of `match`. */
export function renderMatch(modalias: string | null, choice: DriverChoice, paint: Paint): string {
  const subject = modalias === null ? 'The device has no modalias.' : `modalias  ${modalias}`;
  const lookup = choice.lookup === null ? '' : `\nlookup    ${choice.lookup}`;
  return joinSections([`${subject}${lookup}`, ...renderChoice(choice, paint)]);
}

/** Candidates, the choice and what was passed over; the last may be empty. */
export function renderChoice(choice: DriverChoice, paint: Paint): readonly string[] {
  return [renderCandidates(choice, paint), explainChoice(choice, paint), renderRejected(choice, paint)];
}

const header = ['', 'MODULE', 'WILDCARDS', 'ORIGIN', 'PATTERN', 'SOURCE'];

function renderCandidates(choice: DriverChoice, paint: Paint): string {
  if (choice.candidates.length === 0) return 'No alias of a VFIO module matches.';
  return renderTable(
    header,
    choice.candidates.map((candidate): readonly Cell[] => [
      candidate === choice.chosen ? { text: '>', tone: 'good' } : ' ',
      candidate === choice.chosen ? { text: candidate.module, tone: 'good' } : candidate.module,
      String(candidate.wildcards),
      candidate.origin,
      candidate.pattern,
      { text: describeSource(candidate), tone: 'dim' },
    ]),
    paint,
  );
}

/** One sentence: which module and why. */
function explainChoice(choice: DriverChoice, paint: Paint): string {
  const { chosen, candidates } = choice;
  if (chosen === null) return `${paint('bad', 'No VFIO module')} serves this device.`;
  const name = paint('good', chosen.module);
  if (choice.fallback) return `Chosen: ${name}, the ${chosen.source}, as a fallback: no alias names a module.`;
  const others = candidates.filter((candidate) => candidate.module !== chosen.module);
  const [next] = others;
  if (next === undefined) return `Chosen: ${name}, the only module that matches.`;
  if (!choice.tie) return `Chosen: ${name}, with the fewest * (${chosen.wildcards}; the next has ${next.wildcards}).`;
  const tied = others.filter((candidate) => candidate.wildcards === chosen.wildcards).map(({ module }) => module);
  return (
    `Chosen: ${name}. ${paint('warn', 'It is a tie')}: ${[...new Set(tied)].join(', ')} matches with ${chosen.wildcards} * too. ` +
    'Then more literal characters, variants before generic drivers, origin (policy, modprobe.d, file, builtin), file and line decide.'
  );
}

function renderRejected({ rejected }: DriverChoice, paint: Paint): string {
  if (rejected.length === 0) return '';
  const lines = rejected.map(({ module, wildcards, reason }) => `${module} (${wildcards} *): ${reason}`);
  return `${paint('bold', 'Passed over')}\n${indent(lines.join('\n'))}`;
}

function describeSource({ source, line }: Candidate): string {
  return line === 0 ? source : `${source}:${line}`;
}

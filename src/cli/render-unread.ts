// What could not be read, at the end of every answer: so that "nothing found" and "could not look" are never mistaken.
import type { AliasProblem } from '../domain/alias-file.ts';
import type { Unread } from '../domain/device.ts';
import { indent } from './render-table.ts';
import type { Paint } from './terminal.ts';

/** A section, or the empty text when everything could be read. Of more than `limit` entries the others are only counted. */
export function renderUnread(unread: readonly Unread[], paint: Paint, limit = Number.POSITIVE_INFINITY): string {
  if (unread.length === 0) return '';
  const lines = unread.slice(0, limit).map(({ source, why }) => `${source}: ${why}`);
  if (unread.length > limit) lines.push(`and ${unread.length - limit} more, which -o json lists`);
  return `${paint('warn', 'Could not be read (unknown, not absent):')}\n${indent(lines.join('\n'))}`;
}

/** Each source once, in the order of first mention. */
export function withoutRepeats(unread: readonly Unread[]): readonly Unread[] {
  const seen = new Set<string>();
  return unread.filter(({ source, why }) => {
    const key = `${source}\n${why}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** Lines of alias files that say nothing usable, as things unread. */
export function toUnread(problems: readonly AliasProblem[]): readonly Unread[] {
  return problems.map(({ source, line, why }) => ({ source: `${source}:${line}`, why }));
}

/** Sections with an empty line between; empty ones are left out. */
export function joinSections(sections: readonly string[]): string {
  return sections.filter((section) => section !== '').join('\n\n');
}

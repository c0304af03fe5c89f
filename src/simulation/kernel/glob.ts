// Matching of module aliases as the kernel's user space does it: fnmatch(3) with `*`, `?` and `[...]`, case-sensitive.

/** Whether the whole text matches the pattern. Linear in text times number of stars. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let place = 0;
  let starAt = -1;
  let starPlace = 0;
  while (place < text.length) {
    if (pattern[at] === '*') {
      starAt = at++;
      starPlace = place;
      continue;
    }
    const length = at < pattern.length ? matchOne(pattern, at, text.charAt(place)) : 0;
    if (length > 0) {
      at += length;
      place += 1;
    } else if (starAt >= 0) {
      at = starAt + 1;
      place = ++starPlace;
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}

/** Length of the pattern element at `at` when it matches the character, else 0. */
function matchOne(pattern: string, at: number, character: string): number {
  if (pattern[at] === '?') return 1;
  if (pattern[at] !== '[') return pattern[at] === character ? 1 : 0;
  const end = pattern.indexOf(']', at + 2);
  if (end < 0) return character === '[' ? 1 : 0;
  const negated = pattern[at + 1] === '!' || pattern[at + 1] === '^';
  let found = false;
  for (let index = at + (negated ? 2 : 1); index < end; index += 1) {
    const from = pattern.charAt(index);
    if (pattern[index + 1] === '-' && index + 2 < end) {
      if (from <= character && character <= pattern.charAt(index + 2)) found = true;
      index += 2;
    } else if (from === character) {
      found = true;
    }
  }
  return found === negated ? 0 : end - at + 1;
}

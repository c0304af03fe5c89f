// Texts and sizes for documents that must stay small.

/**
 * At most `length` characters that can be shown; a longer text ends in `…`. Never cuts a character of two code units in half. White space
 * becomes a plain space, and what no document or terminal should get (control characters, halves of characters, noncharacters)
 * becomes U+FFFD: file names may hold anything, and the API server refuses a whole document for one such character.
 */
export function clip(text: string, length: number): string {
  // Of a long text only what can be kept is looked at: a character has at most two code units.
  const start = text.length > 2 * length + 2 ? text.slice(0, 2 * length + 2) : text;
  const shown = unshowable.test(start) ? start.replace(whiteSpace, ' ').replace(everyUnshowable, '\ufffd') : start;
  if (shown.length <= length) return shown;
  const characters = [...shown];
  return characters.length <= length ? shown : `${characters.slice(0, length - 1).join('')}…`;
}

const whiteSpace = /[\t\n\v\f\r\u0085\u2028\u2029]/g;
const unshowable = /[\p{Cc}\p{Cs}\u2028\u2029\ufeff\p{Noncharacter_Code_Point}]/u;
const everyUnshowable = new RegExp(unshowable, 'gu');

/** Bytes of a text in UTF-8. */
export function countBytes(text: string): number {
  let bytes = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // Each half of a pair counts for half of its four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 2 : 3;
  }
  return bytes;
}

/** Bytes that JSON takes in etcd: the API server writes `<`, `>`, `&` and the two line separators as six bytes each (Go's encoding/json). */
export function countStoredBytes(json: string): number {
  let more = 0;
  for (let at = 0; at < json.length; at += 1) {
    const unit = json.charCodeAt(at);
    if (unit === lessThan || unit === greaterThan || unit === ampersand) more += 5;
    else if (unit === 0x2028 || unit === 0x2029) more += 3;
  }
  return countBytes(json) + more;
}

const [lessThan, greaterThan, ampersand] = [0x3c, 0x3e, 0x26];

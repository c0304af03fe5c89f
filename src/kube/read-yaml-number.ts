// Plain YAML scalars that begin like a number, read as kubectl and the API server read them (go.yaml.in/yaml/v2, resolve.go): numbers of
// YAML 1.1 and 1.2 in every notation Go knows, and text where Go gives up. Pure.

const integer = /^(?<sign>[-+]?)(?:(?<prefix>0[box])(?<digits>[0-9a-f]+)|0(?<octal>[0-7]*)|(?<decimal>[1-9][0-9]*))$/i;
const float = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const special: ReadonlyMap<string, number> = new Map([
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, Number.NaN] as const),
  ...['.inf', '.Inf', '.INF'].flatMap((word) => [
    [word, Number.POSITIVE_INFINITY] as const,
    [`+${word}`, Number.POSITIVE_INFINITY] as const,
    [`-${word}`, Number.NEGATIVE_INFINITY] as const,
  ]),
]);

/** The number, or the text itself where it is none. Whole numbers beyond 2^53 lose their last digits. */
export function readYamlNumber(text: string): number | string {
  const known = special.get(text);
  if (known !== undefined) return known;
  // Underscores separate digits anywhere, but in a number that begins with its point.
  const plain = text.startsWith('.') ? text : text.replaceAll('_', '');
  const whole = readInteger(plain);
  if (whole !== null) return whole;
  if (!float.test(plain)) return text;
  const value = Number(plain);
  return Number.isFinite(value) ? value : text;
}

/** null: it is none that fits 64 bits, signed or, without a sign, unsigned. */
function readInteger(plain: string): number | null {
  const groups = integer.exec(plain)?.groups;
  if (groups === undefined) return null;
  const { sign = '', prefix, digits = '', octal, decimal } = groups;
  const magnitude = parseMagnitude(
    prefix === undefined ? (octal === undefined ? (decimal ?? '') : `0o${octal}`) : `${prefix.toLowerCase()}${digits}`,
  );
  if (magnitude === null) return null;
  const limit = sign === '' ? 2n ** 64n - 1n : sign === '-' ? 2n ** 63n : 2n ** 63n - 1n;
  if (magnitude > limit) return null;
  return sign === '-' ? -Number(magnitude) : Number(magnitude);
}

function parseMagnitude(digits: string): bigint | null {
  if (digits === '0o') return 0n;
  try {
    return BigInt(digits);
  } catch (error) {
    // A digit that the base does not have.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

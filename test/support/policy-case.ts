// How a case of the policy table is written: short ways to a whole document, and the parts of sentences that come again and again.

/** A document, good or bad, with the verdict that a policy file gets; the API server must come to the same. */
export interface PolicyCase {
  readonly name: string;
  /** The text of one file with one document. */
  readonly text: string;
  /** Field paths in order, each with a part of the sentence. Empty: the document is good. */
  readonly problems: readonly (readonly [path: string, sentence: string])[];
}

export const head = 'apiVersion: vfio-operator.dev/v1alpha1\nkind: VfioPolicy\nmetadata:\n  name: example\n';

/** A document with this spec, given as YAML in flow or block style. */
export function spec(name: string, yaml: string, ...problems: PolicyCase['problems']): PolicyCase {
  const indented = yaml
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
  return { name, text: `${head}spec:\n${indented}\n`, problems };
}

/** A document whose only selector is this one. */
export function selector(name: string, yaml: string, ...problems: PolicyCase['problems']): PolicyCase {
  return spec(name, `devices:\n  - ${yaml.trim().split('\n').join('\n    ')}`, ...problems);
}

/** A document with one good selector and these further fields of the spec. */
export function rest(name: string, yaml: string, ...problems: PolicyCase['problems']): PolicyCase {
  return spec(name, `devices: [{ vendor: "15b3" }]\n${yaml}`, ...problems);
}

/** A document with other metadata. */
export function metadata(name: string, yaml: string, ...problems: PolicyCase['problems']): PolicyCase {
  const text = head.replace('metadata:\n  name: example\n', `metadata: ${yaml}\n`);
  return { name, text: `${text}spec:\n  devices: [{ vendor: "15b3" }]\n`, problems };
}

export const tooWide = 'anything less could take the whole node';
export const wrongForm = 'has not the right form';
export const quotes = 'put it in quotes';

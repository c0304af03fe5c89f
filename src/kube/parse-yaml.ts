// YAML as plain data. A module of its own, so that the library is loaded only with the first kubeconfig: it is CommonJS, and bundled, an
// `import()` of it would have its functions under `default` alone.
import { parse } from 'yaml';

/** The first document's value; throws what the library throws, without the lines of the text, which may hold secrets. */
export function parseYaml(text: string): unknown {
  return parse(text, { prettyErrors: false }) as unknown;
}

// YAML as answers are printed in it. A module of its own, so that the library is loaded only when somebody asks for YAML.
import { stringify } from 'yaml';

/** Plain data as one YAML document. */
export function toYaml(value: unknown): string {
  return stringify(value);
}

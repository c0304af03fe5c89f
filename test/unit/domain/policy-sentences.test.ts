// The sentences of the planner's own guards are the CRD's own.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { policySentences as say } from '../../../src/domain/policy-sentences.ts';

describe('policySentences', () => {
  it('are messages of the CRD', () => {
    const crd: unknown = parse(
      readFileSync(new URL('../../../deploy/helm/vfio-operator/crds/vfiopolicies.yaml', import.meta.url), 'utf8'),
    );
    const messages: unknown[] = [];
    JSON.stringify(crd, (key, value: unknown) => {
      if (key === 'x-kubernetes-validations' && Array.isArray(value)) {
        for (const rule of value) messages.push(rule.message);
      }
      return value;
    });
    expect(messages).toEqual(expect.arrayContaining(Object.values(say)));
  });
});

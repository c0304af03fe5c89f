// The sentences of policy problems are the CRD's own.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { policySentences as say } from '../../../src/domain/policy-sentences.ts';

describe('policySentences', () => {
  it('are the messages of the CRD, all of them and no others', () => {
    const crd: unknown = parse(
      readFileSync(new URL('../../../deploy/helm/vfio-operator/crds/vfiopolicies.yaml', import.meta.url), 'utf8'),
    );
    const messages = new Set<unknown>();
    JSON.stringify(crd, (key, value: unknown) => {
      if (key === 'x-kubernetes-validations' && Array.isArray(value)) {
        for (const rule of value) messages.add(rule.message);
      }
      return value;
    });
    expect([...messages].toSorted()).toEqual(Object.values(say).toSorted());
  });

  it('hold the CRD to the same forms', () => {
    const crd = readFileSync(
      new URL('../../../deploy/helm/vfio-operator/crds/vfiopolicies.yaml', import.meta.url),
      'utf8',
    );
    expect(crd).not.toContain('oldSelf');
    expect(crd).toContain("'^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f][.][0-7]$'");
  });
});

// What Argo CD will say of a VfioPolicy: its health script run by a real Lua of the same language level over the table of situations
// that kstatus is held to.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { situations } from '../../support/kstatus-table.ts';
import { run } from '../lab/command.ts';
import { luaCommand } from '../lab/lua.ts';

const deploy = resolve(import.meta.dirname, '../../../deploy/argocd');
const script = join(deploy, 'vfio-operator.dev/VfioPolicy/health.lua');

/** A JSON value as a Lua expression. */
function toLua(value: unknown): string {
  if (value === null || value === undefined) return 'nil';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return `{${value.map(toLua).join(', ')}}`;
  if (typeof value === 'object')
    return `{${Object.entries(value)
      .map(([key, part]) => `[${toLua(key)}] = ${toLua(part)}`)
      .join(', ')}}`;
  if (typeof value !== 'string') throw new Error(`no JSON: ${typeof value}`);
  const bytes = Buffer.from(value, 'utf8');
  return `"${[...bytes].map((byte) => `\\${byte.toString().padStart(3, '0')}`).join('')}"`;
}

describe("Argo CD's health script", () => {
  let lua: readonly string[] = [];
  const scratch = mkdtempSync(join(tmpdir(), 'argocd-health-'));
  beforeAll(async () => {
    lua = await luaCommand();
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it.each(situations)('$title: $argo', async ({ object, argo }) => {
    const file = join(scratch, 'case.lua');
    writeFileSync(
      file,
      `obj = ${toLua(object)}\nlocal health = dofile(${toLua(script)})\nprint(health.status)\nprint(health.message)\n`,
    );
    const [status, message] = (await run([...lua, file])).split('\n');
    expect(status).toBe(argo);
    expect(message).toMatch(/\S/);
  });

  it('stands in the patch for argocd-cm word for word', () => {
    const patch: unknown = parse(readFileSync(join(deploy, 'argocd-cm-patch.yaml'), 'utf8'));
    expect(patch).toEqual({
      data: { 'resource.customizations.health.vfio-operator.dev_VfioPolicy': readFileSync(script, 'utf8') },
    });
  });
});

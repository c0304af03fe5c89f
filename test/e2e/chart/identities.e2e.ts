// Who may do what: a node's agent writes its own node state alone, and the roles of both programs grant what their requests need and
// nothing more, each verb shown by taking it away.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiResponse, KubernetesObject } from '../cluster/api-client.ts';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { until } from '../cluster/until.ts';
import { NAMESPACE, render } from './chart.ts';
import { agentNeeds, applying, controllerNeeds, events, leases } from './needs.ts';
import { install, nodeStates, policies, startPrepared, tokenOfAgentOn } from './prepared-cluster.ts';

let cluster: ControlPlane;

beforeAll(async () => {
  cluster = await startPrepared();
  await install(cluster, { hostAgents: { enabled: true } });
});
afterAll(async () => cluster?.stop());

/** As the agent writes: server-side apply, to the object or its status. */
const applyNodeState = (node: string, token: string, part: '' | '/status' = ''): Promise<ApiResponse> =>
  cluster.admin.request({
    method: 'PATCH',
    path: `${nodeStates}/${node}${part}?fieldManager=vfio-operator-agent&force=true`,
    contentType: 'application/apply-patch+yaml',
    body: {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioNodeState',
      metadata: { name: node },
      ...(part === '' ? {} : { status: {} }),
    },
    token,
  });

describe("a node's agent", () => {
  let lab1: string;
  let lab2: string;

  beforeAll(async () => {
    [lab1, lab2] = [await tokenOfAgentOn(cluster, 'lab1'), await tokenOfAgentOn(cluster, 'lab2')];
    await until('the admission policy is in force', async () => {
      const answer = await applyNodeState('lab2', lab1);
      return answer.status === 403 && answer.text.includes('vfio-operator-own-node-state');
    });
    // What was written before it was.
    await cluster.admin.request({ method: 'DELETE', path: `${nodeStates}/lab2` });
  });

  it('writes its own node state, and its status', async () => {
    expect((await applyNodeState('lab1', lab1)).status).toBe(201);
    expect((await applyNodeState('lab1', lab1, '/status')).status).toBe(200);
    expect((await applyNodeState('lab2', lab2)).status).toBe(201);
  });

  it.each(['', '/status'] as const)("cannot write another node's (vfionodestates%s), and is told so", async (part) => {
    const refused = await applyNodeState('lab2', lab1, part);
    expect(refused.status).toBe(403);
    expect(refused.text).toContain(
      'the agent of node lab1 may write the node state of that node alone, not that of lab2',
    );
  });

  it('writes none with a token that names no node', async () => {
    const free = await cluster.serviceAccountToken(NAMESPACE, 'vfio-operator-agent');
    const refused = await applyNodeState('lab1', free);
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('this token names no node');
  });

  it('may be the node itself, for its own state alone', async () => {
    const node = cluster.token('system:node:lab1');
    expect((await applyNodeState('lab1', node, '/status')).status).toBe(200);
    expect((await applyNodeState('lab2', node, '/status')).text).toContain('the agent of node lab1 may write');
  });

  it('leaves people with the right to do so free to write and delete any', async () => {
    expect((await applyNodeState('lab2', cluster.token('admin'))).status).toBe(200);
    expect((await cluster.admin.request({ method: 'DELETE', path: `${nodeStates}/lab2` })).status).toBe(200);
  });
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** `group/resource verb` of every right that the roles grant. */
function grantsOf(roles: readonly KubernetesObject[]): readonly string[] {
  return roles
    .flatMap((role) => role['rules'] as readonly Rule[])
    .flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${group}/${resource} ${verb}`)),
      ),
    )
    .toSorted();
}

const rolesOf = async (program: string): Promise<readonly KubernetesObject[]> =>
  (await render()).objects.filter(({ kind, metadata }) => kind?.endsWith('Role') && metadata?.name?.includes(program));

/** The role without one verb of one resource. */
function withoutRight(role: KubernetesObject, right: string): KubernetesObject {
  const [path = '', verb] = right.split(' ');
  const rules = (role['rules'] as readonly Rule[])
    .flatMap((rule) => rule.resources.map((resource) => ({ ...rule, resources: [resource] })))
    .map((rule) => {
      const isMeant = `${rule.apiGroups[0]}/${rule.resources[0]}` === path;
      return isMeant ? { ...rule, verbs: rule.verbs.filter((name) => name !== verb) } : rule;
    })
    .filter(({ verbs }) => verbs.length > 0);
  return { ...role, rules };
}

/** Replaces the rules of roles as they stand on the API server. */
async function putRoles(roles: readonly KubernetesObject[]): Promise<void> {
  for (const role of roles) {
    const { kind, metadata } = role;
    const scope = kind === 'ClusterRole' ? '' : `namespaces/${metadata?.namespace ?? ''}/`;
    const path = `/apis/rbac.authorization.k8s.io/v1/${scope}${kind?.toLowerCase()}s/${metadata?.name}`;
    const body = { rules: role['rules'] };
    await cluster.admin.expect({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });
  }
}

describe.each([
  ['agent', agentNeeds],
  ['controller', controllerNeeds],
] as const)('the roles of the %s', (program, needs) => {
  const token = (): Promise<string> =>
    program === 'agent'
      ? tokenOfAgentOn(cluster, 'lab1')
      : cluster.serviceAccountToken(NAMESPACE, 'vfio-operator-controller');

  /** The state in which the request of a rule means something. */
  const prepare = async (rule: string): Promise<void> => {
    const gone: Readonly<Record<string, string>> = {
      'vfio-operator.dev/vfionodestates create': `${nodeStates}/lab1`,
      'events.k8s.io/events create': `${events}/one`,
      'coordination.k8s.io/leases create': `${leases}/vfio-operator-controller`,
    };
    const path = gone[rule];
    if (path !== undefined) await cluster.admin.request({ method: 'DELETE', path });
  };

  beforeAll(async () => {
    await cluster.admin.apply(`${policies}/shown`, {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioPolicy',
      metadata: { name: 'shown' },
      spec: { devices: [{ vendor: '8086', device: '10ed' }] },
    });
  });

  it('grant nothing that no request needs', async () => {
    expect(grantsOf(await rolesOf(program))).toEqual(needs.map(({ rule }) => rule).toSorted());
  });

  it.each(needs)('need $rule: with it the request works, without it it is refused', async ({ rule, request }) => {
    const bearer = await token();
    const ask = async (): Promise<ApiResponse> => {
      await prepare(rule);
      return cluster.admin.request({
        ...(typeof request === 'function' ? await request(cluster.admin) : request),
        token: bearer,
      });
    };
    const allowed = await ask();
    expect([200, 201], allowed.text).toContain(allowed.status);
    const roles = await rolesOf(program);
    await putRoles(roles.map((role) => withoutRight(role, rule)));
    try {
      await until(`${rule} is refused`, async () => (await ask()).status === 403);
    } finally {
      await putRoles(roles);
      await until(`${rule} is granted again`, async () => (await ask()).status < 300);
    }
  });

  it.each([
    ['secrets', '/api/v1/secrets'],
    ['pods of all namespaces', '/api/v1/pods'],
    ['configuration', '/api/v1/configmaps'],
    ['roles', '/apis/rbac.authorization.k8s.io/v1/clusterroles'],
  ])('let it read no %s', async (_, path) => {
    expect((await cluster.admin.request({ path, token: await token() })).status).toBe(403);
  });

  it('let it change no policy', async () => {
    const change = applying(`${policies}/shown`, {
      apiVersion: 'vfio-operator.dev/v1alpha1',
      kind: 'VfioPolicy',
      metadata: { name: 'shown' },
      spec: { devices: [{ vendor: '10de' }] },
    });
    expect((await cluster.admin.request({ ...change, token: await token() })).status).toBe(403);
  });
});

// The agent as a process in a guest of the lab: started with policies of the test's, followed by its log, asked over HTTP. What it
// says serves to know when to look; what is true is read from the kernel (see devices-in-guest.ts).
// VFIO_E2E_PROGRAM names another build than dist/main.mjs; it must lie where guests see it, so not under /tmp, /run or /dev.
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DecisionKind } from '../../../src/domain/codes.ts';
import type { Guest, GuestProcess } from '../lab/guest.ts';
import { LabError } from '../lab/lab-error.ts';

/** The program under test, at the same path here and in guests. */
export const program =
  process.env['VFIO_E2E_PROGRAM'] ?? fileURLToPath(new URL('../../../dist/main.mjs', import.meta.url));

/** Milliseconds a wait lasts at most; under emulation a pass with module loads takes several seconds, on a machine with much else to do half a minute. */
const patience = 180_000;

export interface AgentOptions {
  /** Directory in the guest, made when absent unless `makePolicies` is false. */
  readonly policies?: string;
  readonly makePolicies?: boolean;
  readonly state?: string;
  readonly kubelet?: 'none' | 'required';
  /** Further flags, e.g. `['--write-deadline', '5']`. */
  readonly flags?: readonly string[];
}

/** One line of the agent's log. */
export interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A decision as the log tells it; `None` once no policy wants the device. */
export interface LoggedDecision extends LogLine {
  readonly address: string;
  readonly decision: DecisionKind | 'None';
  readonly code: string | null;
  readonly driver: string | null;
}

/** What a decision must look like: its kind, or kind and code as `Refused/NoIommu`. */
export type WantedDecision = DecisionKind | 'None' | `${'Refused' | 'Held'}/${string}`;

export interface AgentInGuest {
  readonly process: GuestProcess;
  readonly policies: string;
  readonly state: string;
  log(): readonly LogLine[];
  /** The first line from number `since` on that fits; waits for it. */
  waitForLine(what: string, fits: (line: LogLine) => boolean, since?: number, within?: number): Promise<LogLine>;
  /**
   * The latest decision on each address, once all are as wanted. Decisions of lines before number `since` do not count: `log().length`
   * taken before a change makes sure that the answer is one to it.
   */
  waitForDecisions(
    wanted: Readonly<Record<string, WantedDecision>>,
    since?: number,
    within?: number,
  ): Promise<Readonly<Record<string, LoggedDecision>>>;
  /** Makes the agent look again, by an event of a device that is nobody's business, and waits for a pass that began after this call. */
  waitForPass(http: HttpInGuest, within?: number): Promise<void>;
  /** Writes a policy file of one policy, NAME.json. */
  putPolicy(name: string, spec: object): Promise<void>;
  removePolicy(name: string): Promise<void>;
  /** SIGTERM; waits for the end and expects it to be a clean one. */
  stop(): Promise<void>;
  /** SIGKILL to the agent alone; its kernel worker goes its own way. */
  kill(): Promise<void>;
}

/** Starts the agent; resolves once it has said that it starts. */
export async function startAgentInGuest(guest: Guest, options: AgentOptions = {}): Promise<AgentInGuest> {
  if (!existsSync(program)) throw new LabError(`${program} is missing.`, { hint: 'npm run build makes it' });
  const { policies = '/etc/vfio-operator/policies', state = '/var/lib/vfio-operator', kubelet = 'none' } = options;
  if (options.makePolicies ?? true) await guest.run(`mkdir -p ${policies}`);
  const flags = ['--policies', policies, '--state', state, `--kubelet=${kubelet}`, ...(options.flags ?? [])];
  const agent = await guest.spawn(`exec node ${program} agent ${flags.join(' ')}`);
  const log = (): readonly LogLine[] => parseLog(agent.stdout());

  const eventually = async <T>(what: () => string, probe: () => T | undefined, within: number): Promise<T> => {
    let over = false;
    void agent.ended.finally(() => (over = true)).catch(() => undefined);
    for (const deadline = Date.now() + within; ; await sleep(50)) {
      const value = probe();
      if (value !== undefined) return value;
      if (over || Date.now() > deadline)
        throw new LabError(`${over ? 'The agent ended' : `${within} ms passed`} without ${what()}.`, {
          detail: `${agent.stdout()}\n${agent.stderr()}`,
        });
    }
  };
  const waitForLine: AgentInGuest['waitForLine'] = (what, fits, since = 0, within = patience) =>
    eventually(
      () => what,
      () => log().slice(since).find(fits),
      within,
    );
  await waitForLine('saying that it starts', ({ msg }) => msg === 'agent starts');

  return {
    process: agent,
    policies,
    state,
    log,
    waitForLine,
    waitForDecisions: (wanted, since = 0, within = patience) => {
      const what = (): string =>
        `the decisions ${JSON.stringify(wanted)}; there are ${JSON.stringify(latestDecisions(log().slice(since)))}`;
      return eventually(
        what,
        () => {
          const latest = latestDecisions(log().slice(since));
          const all = Object.entries(wanted).every(([address, one]) => fitsDecision(latest[address], one));
          return all ? latest : undefined;
        },
        within,
      );
    },
    async waitForPass(http, within = patience) {
      const deadline = Date.now() + within;
      const before = await countPasses(http);
      // The first to end may have begun before; the next has not.
      for (const wanted of [before + 1, before + 2]) {
        await guest.writeText('/sys/class/mem/null/uevent', 'change');
        while ((await countPasses(http)) < wanted) {
          if (Date.now() > deadline) throw new LabError(`${within} ms went by without another pass.`);
          await sleep(200);
        }
      }
    },
    putPolicy: (name, spec) =>
      guest.createFile(`${policies}/${name}.json`, `${JSON.stringify(policyDocument(name, spec), null, 2)}\n`),
    removePolicy: async (name) => void (await guest.files([{ op: 'remove', path: `${policies}/${name}.json` }])),
    async stop() {
      // One that has ended by itself is no error here; how it ended is looked at below.
      await agent.signal('SIGTERM').catch(() => undefined);
      const end = await Promise.race([agent.ended, sleep(patience, undefined, { ref: false })]);
      if (end?.code !== 0)
        throw new LabError(`The agent did not end cleanly on SIGTERM: ${end?.code ?? end?.signal ?? 'it goes on'}.`, {
          detail: `${agent.stdout()}\n${agent.stderr()}`,
        });
    },
    async kill() {
      await agent.signal('SIGKILL');
      await agent.ended;
    },
  };
}

async function countPasses(http: HttpInGuest): Promise<number> {
  const { body } = await http.get('/metrics');
  return Number(/^vfio_operator_pass_duration_seconds_count\{outcome="ok"\} (\d+)$/m.exec(body)?.[1] ?? 0);
}

/** A whole VfioPolicy document. */
export function policyDocument(name: string, spec: object): object {
  return { apiVersion: 'vfio-operator.dev/v1alpha1', kind: 'VfioPolicy', metadata: { name }, spec };
}

/** Whole lines only: what the agent is writing just now comes with the next look. Anything but JSON is a fault of the agent. */
function parseLog(text: string): readonly LogLine[] {
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);
}

function latestDecisions(lines: readonly LogLine[]): Readonly<Record<string, LoggedDecision>> {
  const isDecision = (line: LogLine): line is LoggedDecision => typeof line['decision'] === 'string';
  return Object.fromEntries(lines.filter((line) => isDecision(line)).map((line) => [line.address, line]));
}

function fitsDecision(found: LoggedDecision | undefined, wanted: WantedDecision): boolean {
  const [kind, code] = wanted.split('/');
  return found?.decision === kind && (code === undefined || found?.code === code);
}

/** A process in the guest that asks servers there: started once, so that an answer's time is the server's and not Node's start. */
export interface HttpInGuest {
  /** `milliseconds` from asking to the whole answer, by the guest's clock. Rejects when nobody answers within 30 s. */
  get(path: string): Promise<{ readonly status: number; readonly body: string; readonly milliseconds: number }>;
  close(): Promise<void>;
}

const asker = `
  require('node:readline').createInterface({ input: process.stdin }).on('line', async (line) => {
    const { id, url } = JSON.parse(line);
    const begun = performance.now();
    const answer = await fetch(url, { signal: AbortSignal.timeout(30000) })
      .then(async (response) => ({ status: response.status, body: await response.text() }), (error) => ({ error: String(error.cause ?? error) }));
    console.log(JSON.stringify({ id, milliseconds: performance.now() - begun, ...answer }));
  });
`;

/** Opens it for the agent's own address, or another `origin`. */
export async function openHttpInGuest(guest: Guest, origin = 'http://127.0.0.1:9808'): Promise<HttpInGuest> {
  await guest.createFile('/lab/asker.cjs', asker);
  const child = await guest.spawn('exec node /lab/asker.cjs');
  let asked = 0;
  return {
    async get(path) {
      const id = (asked += 1);
      await child.input(`${JSON.stringify({ id, url: origin + path })}\n`);
      const marker = new RegExp(`^\\{"id":${id},.*\\}$`, 'm');
      await child.waitFor(marker, 40_000);
      const answer = JSON.parse(marker.exec(child.stdout())?.[0] ?? '{}') as {
        readonly status?: number;
        readonly body?: string;
        readonly milliseconds: number;
        readonly error?: string;
      };
      const { status, body, milliseconds } = answer;
      if (status === undefined || body === undefined) throw new LabError(`GET ${origin}${path}: ${answer.error}`);
      return { status, body, milliseconds };
    },
    async close() {
      await child.input(null);
      await child.ended;
    },
  };
}

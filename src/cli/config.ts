// The command line: every command with its arguments, options and help. Nothing else in the CLI reads arguments or the environment.
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { agentCommand, ownLabels, parseLabels } from '../agent/config.ts';
import { controllerCommand } from '../controller/config.ts';
import type { OutputFormat } from './cli-parts.ts';
import type { ClusterStatusOptions } from './cluster-status-command.ts';
import type { DevicesOptions } from './devices-command.ts';
import { CommandFailed, exitCodes, type ExitCode } from './exit-codes.ts';
import type { ExplainOptions } from './explain-command.ts';
import type { KubeVirtPatchOptions } from './kubevirt-command.ts';
import type { MatchOptions } from './match-command.ts';
import type { NodeOptions } from './node-options.ts';
import type { HostOptions } from './open-host.ts';
import type { PlanOptions } from './plan-command.ts';
import type { ClusterChoice } from './read-cluster.ts';
import type { ReleaseOptions } from './release-command.ts';
import type { StatusOptions } from './status-command.ts';

/** What each command does, and what the program prints. */
export interface CommandRuns {
  readonly devices: (options: DevicesOptions) => Promise<ExitCode>;
  readonly match: (options: MatchOptions) => Promise<ExitCode>;
  readonly plan: (options: PlanOptions) => Promise<ExitCode>;
  readonly explain: (options: ExplainOptions) => Promise<ExitCode>;
  readonly status: (options: StatusOptions) => Promise<ExitCode>;
  readonly clusterStatus: (options: ClusterStatusOptions) => Promise<ExitCode>;
  readonly kubeVirtPatch: (options: KubeVirtPatchOptions) => Promise<ExitCode>;
  readonly release: (options: ReleaseOptions) => Promise<ExitCode>;
}

/** Reads the arguments (as in process.argv) and runs the command. Usage errors and help end here with their exit code. */
export async function runCommandLine(argv: readonly string[], runs: CommandRuns): Promise<ExitCode> {
  let ended: ExitCode = exitCodes.ok;
  const program = createProgram(runs, (code) => {
    ended = code;
  });
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end the same way as errors, with exit code 0; the message has been printed already.
    return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  return ended;
}

/** Colour is for people: on a terminal, unless NO_COLOR (https://no-color.org) or TERM says otherwise. */
export function wantsColour(isTerminal: boolean): boolean {
  return isTerminal && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
}

const exitCodeHelp = `
Exit codes: 0 done, also when the answer is "nothing" or "refused"; 1 it failed; 2 wrong usage or bad input;
            3 no such device.
`;

function createProgram(runs: CommandRuns, end: (code: ExitCode) => void): Command {
  const program = new Command('vfio-operator')
    .description('Puts the devices a policy names on the right VFIO driver, proves it, and offers them to kubelet.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .configureHelp({ showGlobalOptions: true, subcommandTerm: describeTerm })
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('(vfio-operator --help lists all commands)')
    .option('--root <dir>', "read a copy of another host's files instead of this machine", (text) => resolve(text))
    .option('--kernel <release>', 'kernel whose module aliases count (default: the one that runs, or the only one)')
    .addHelpText('after', exitCodeHelp)
    .addHelpText('after', 'Everything but agent and release only reads, and works without root; see docs/cli.md.');
  const finish =
    <O>(run: (options: O) => Promise<ExitCode>) =>
    async (options: O): Promise<void> =>
      end(await run(options));
  program.commandsGroup('Programs:');
  program.addCommand(agentEntry());
  program.addCommand(controllerEntry());
  program
    .command('demo')
    .description('the whole story on a simulated node')
    .action(() => Promise.reject(new CommandFailed(exitCodes.usage, 'demo is the first word of its command line')));
  program.commandsGroup('For people:');
  program.addCommand(devicesCommand(finish(runs.devices)));
  program.addCommand(matchCommand(finish(runs.match)));
  program.addCommand(planCommand(finish(runs.plan)));
  program.addCommand(explainCommand(finish(runs.explain)));
  program.addCommand(statusCommand(finish(runs.status), finish(runs.clusterStatus)));
  program.addCommand(releaseCommand(finish(runs.release)));
  program.addCommand(kubeVirtCommand(finish(runs.kubeVirtPatch)));
  for (const command of program.commands) command.copyInheritedSettings(program);
  for (const command of program.commands) for (const part of command.commands) part.copyInheritedSettings(program);
  return program;
}

/** For the help: the agent itself is started by src/main.ts when it is the first word. */
function agentEntry(): Command {
  return agentCommand(() =>
    Promise.reject(new CommandFailed(exitCodes.usage, 'agent is the first word of its command line')),
  ).description('bind what the policies name, offer it to kubelet');
}

/** Likewise. */
function controllerEntry(): Command {
  return controllerCommand(() =>
    Promise.reject(new CommandFailed(exitCodes.usage, 'controller is the first word of its command line')),
  );
}

/** Its name and arguments: that a command has options goes without saying. */
function describeTerm(command: Command): string {
  return [command.name(), ...command.registeredArguments.map((one) => `<${one.name()}>`)].join(' ');
}

type Run<O> = (options: O) => Promise<void>;

function devicesCommand(run: Run<DevicesOptions>): Command {
  return new Command('devices')
    .description('what is on the buses, with drivers and IOMMU groups')
    .addOption(outputOption())
    .action((_options, command: Command) => run({ ...hostOptions(command), output: outputOf(command) }));
}

function matchCommand(run: Run<MatchOptions>): Command {
  return new Command('match')
    .description('which VFIO module serves a device, and why')
    .addArgument(
      new Argument('<device>', 'address of a device, or a modalias with or without vfio_').argParser(notEmpty),
    )
    .addOption(outputOption())
    .addOption(new Option('--aliases <file>', "read this modules.alias instead of the host's").argParser(toPath))
    .addOption(new Option('--policies <dir>', 'let the aliases that policies declare compete too').argParser(toPath))
    .action((subject: string, _options, command: Command) =>
      run({
        ...hostOptions(command),
        subject,
        aliases: optional(command, 'aliases'),
        policies: optional(command, 'policies'),
        output: outputOf(command),
      }),
    );
}

function planCommand(run: Run<PlanOptions>): Command {
  return withNode(new Command('plan'))
    .description('what the agent would do here, with every step')
    .addOption(outputOption())
    .action((_options, command: Command) => run({ ...nodeOptions(command), output: outputOf(command) }));
}

function explainCommand(run: Run<ExplainOptions>): Command {
  return withNode(new Command('explain'))
    .description('all about one device: who selects it, what refuses it')
    .addArgument(new Argument('<address>', 'address of the device').argParser(notEmpty))
    .addOption(outputOption())
    .action((address: string, _options, command: Command) =>
      run({ ...nodeOptions(command), address, output: outputOf(command) }),
    );
}

function statusCommand(run: Run<StatusOptions>, runCluster: Run<ClusterStatusOptions>): Command {
  return withCluster(new Command('status'))
    .description('what the agent says of this node, or said last; of a whole cluster: --cluster')
    .addOption(outputOption())
    .addOption(stateOption())
    .addOption(new Option('--cluster', 'policies and nodes of a cluster instead'))
    .action(({ cluster }: { readonly cluster?: boolean }, command: Command) => {
      const output = outputOf(command);
      if (cluster === true) return runCluster({ ...clusterChoice(command), output });
      const stray = ['kubeconfig', 'context'].find((name) => command.getOptionValueSource(name) === 'cli');
      if (stray !== undefined) command.error(`error: --${stray} goes with --cluster`);
      return run({ ...hostOptions(command), state: stateOf(command), output });
    });
}

function kubeVirtCommand(run: Run<KubeVirtPatchOptions>): Command {
  const patch = withCluster(new Command('patch'))
    .description('print the command that makes KubeVirt permit what policies offer to it')
    .addOption(outputOption())
    .action((_options, command: Command) => run({ ...clusterChoice(command), output: outputOf(command) }));
  return new Command('kubevirt').description('what KubeVirt still needs: kubevirt patch').addCommand(patch);
}

function withCluster(command: Command): Command {
  return command
    .addOption(
      new Option('--kubeconfig <file>', "kubeconfig file (default: the pod's service account, else kubectl's)")
        .env('VFIO_OPERATOR_KUBECONFIG')
        .argParser(toPath),
    )
    .addOption(new Option('--context <name>', 'context of the kubeconfig').argParser(notEmpty));
}

function clusterChoice(command: Command): ClusterChoice {
  return { kubeconfig: optional(command, 'kubeconfig'), context: optional(command, 'context') };
}

/** Where kubelet says that the API server is, in a pod; null elsewhere. */
export function serviceOfPod(): { readonly host: string; readonly port: string } | null {
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '' } = process.env;
  return host === '' || port === '' ? null : { host, port };
}

function releaseCommand(run: Run<ReleaseOptions>): Command {
  return withNode(new Command('release'))
    .description('give a device back to the driver it had')
    .addArgument(new Argument('<address>', 'address of the device').argParser(notEmpty))
    .addOption(
      new Option('--kubelet <mode>', 'without an agent: whether kubelet has to be asked what its pods hold')
        .env('VFIO_OPERATOR_KUBELET')
        .choices(['required', 'none'])
        .default('required'),
    )
    .addOption(
      new Option('--kubelet-root <dir>', "kubelet's root directory")
        .env('VFIO_OPERATOR_KUBELET_ROOT')
        .default('/var/lib/kubelet')
        .argParser(toPath),
    )
    .action((address: string, { kubelet, kubeletRoot }: Pick<ReleaseOptions, 'kubelet' | 'kubeletRoot'>, command) =>
      run({ ...nodeOptions(command), address, kubelet, kubeletRoot }),
    );
}

function withNode(command: Command): Command {
  return command
    .addOption(
      new Option('--policies <dir>', 'directory of VfioPolicy files (default: those the agent kept)')
        .env('VFIO_OPERATOR_POLICIES')
        .argParser(toPath),
    )
    .addOption(stateOption())
    .addOption(new Option('--node-name <name>', 'name of the node').env('NODE_NAME'))
    .addOption(
      new Option('--node-labels <labels>', 'labels of the node beside hostname, os and arch: KEY=VALUE,…')
        .env('VFIO_OPERATOR_NODE_LABELS')
        .argParser(parseLabels),
    )
    .addOption(
      new Option('--no-load-modules', 'the agent never loads kernel modules').env('VFIO_OPERATOR_NO_LOAD_MODULES'),
    );
}

function outputOption(): Option {
  return new Option('-o, --output <format>', 'form of the answer').choices(['table', 'json', 'yaml']).default('table');
}

function stateOption(): Option {
  return new Option('--state <dir>', "the agent's state directory (default: /var/lib/vfio-operator)")
    .env('VFIO_OPERATOR_STATE')
    .argParser(toPath);
}

function nodeOptions(command: Command): NodeOptions {
  const options = command.optsWithGlobals<{ nodeLabels?: Readonly<Record<string, string>>; loadModules: boolean }>();
  return {
    ...hostOptions(command),
    policies: optional(command, 'policies'),
    state: stateOf(command),
    nodeName: optional(command, 'nodeName'),
    labelsOf: (name) => ({ ...ownLabels(name), ...options.nodeLabels }),
    machineName: hostname().toLowerCase(),
    loadModules: options.loadModules,
  };
}

function hostOptions(command: Command): HostOptions {
  return { root: optional(command, 'root'), kernel: optional(command, 'kernel') };
}

function optional(command: Command, name: string): string | null {
  return command.optsWithGlobals<Record<string, string | undefined>>()[name] ?? null;
}

function outputOf(command: Command): OutputFormat {
  return command.opts<{ output: OutputFormat }>().output;
}

const defaultState = '/var/lib/vfio-operator';

/** With `--root`, the copy's own. */
function stateOf(command: Command): string {
  return optional(command, 'state') ?? `${optional(command, 'root')?.replace(/\/+$/, '') ?? ''}${defaultState}`;
}

/** As given, so that messages name files as the person does. */
function toPath(text: string): string {
  if (text === '') throw new InvalidArgumentError('expected a path');
  return text.length > 1 ? text.replace(/\/+$/, '') : text;
}

function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('is empty');
  return text;
}

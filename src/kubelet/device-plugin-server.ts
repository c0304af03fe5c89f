// The life of one device plugin: serve, then Register, then keep kubelet listening, for ever and with back-off. Invariants: it never
// registers before it serves; each registration that kubelet took up has a socket of its own; only its own socket is ever removed; a
// kubelet that lost it, in whatever way, is told again. It knows nothing of devices but their list.
import { FileError } from '../runtime/ports.ts';
import type { Clock, Files, Random } from '../runtime/ports.ts';
import { answer, answerStream, devicePlugin } from './contracts.ts';
import { DeviceListStream } from './device-list-stream.ts';
import { DirectoryLook } from './directory-look.ts';
import type { ContainerAllocateResponse, ContainerPreferredAllocationRequest, ListedDevice } from './messages.ts';
import { checkSocketPath, entryIdentity, listen, socketName } from './plugin-socket.ts';
import type { PluginSocket } from './plugin-socket.ts';
import type { Grpc, Route } from './ports.ts';
import { pluginOptions } from './registration.ts';
import type { MakeRegistration, RegistrationWay } from './registration.ts';

/** Milliseconds that kubelet may take from accepting a plugin to opening its list. */
const streamDeadline = 10_000;

/** Milliseconds that running calls get when a socket closes. */
const closeGrace = 2_000;

/** First and longest pause between two tries, in milliseconds. */
const backoff = { first: 250, longest: 10_000 };

/** A stream that lived this long was no part of a failing series. */
const steadyAfter = 10_000;

/** What is done with the devices of one resource. Errors reach kubelet, and with it the pod's events, word for word. */
export interface DeviceHandlers {
  /** Pure and quick; must not throw, since an error here fails the pod's admission. */
  prefer(request: ContainerPreferredAllocationRequest): readonly string[];
  allocate(ids: readonly string[]): Promise<ContainerAllocateResponse>;
  preStart(ids: readonly string[]): Promise<void>;
}

/** Where a plugin stands with kubelet. */
export interface PluginState {
  readonly resource: string;
  /** Kubelet holds our list open. */
  readonly registered: boolean;
  /** Since when that is so, in milliseconds since the epoch. */
  readonly since: number;
  /** Why it is not, or was not last time; null when it never failed. */
  readonly lastError: string | null;
  readonly capacity: number;
  readonly healthy: number;
}

export interface PluginPorts {
  readonly grpc: Grpc;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
}

export interface PluginOptions {
  readonly resource: string;
  /** Begins the names of all our sockets. */
  readonly prefix: string;
  readonly registration: MakeRegistration;
  readonly handlers: DeviceHandlers;
  /** The first list. */
  readonly devices: readonly ListedDevice[];
  /** Hears of every change of the state. */
  readonly onState?: (state: PluginState) => void;
}

/** One socket, from listening to its end. */
interface Session {
  readonly socket: PluginSocket;
  readonly directory: string | null;
  /** The kubelet that was last told of it. */
  kubelet: string | null;
  /** Kubelet took it up: kubelets mix up two registrations over one socket path, so it serves for no second one. */
  used: boolean;
  over: boolean;
  readonly opened: PromiseWithResolvers<void>;
  /** Resolves with the reason once kubelet must be told again. */
  readonly lost: PromiseWithResolvers<string>;
}

/** One resource's device plugin. */
export class DevicePluginServer {
  readonly #ports: PluginPorts;
  readonly #options: PluginOptions;
  readonly #way: RegistrationWay;
  readonly #list: DeviceListStream;
  readonly #look: DirectoryLook;
  #session: Session | null = null;
  #registered = false;
  #since: number;
  #lastError: string | null = null;
  #failures = 0;
  /** The kubelet of the last try. */
  #tried: string | null = null;
  #wake: (() => void) | null = null;
  #running: Promise<void> | null = null;
  #stopping = false;

  /** Throws `SocketPathTooLong` when kubelet's directory leaves no room for a socket's name. */
  constructor(ports: PluginPorts, options: PluginOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#way = options.registration(options.resource);
    this.#since = ports.clock.now();
    this.#list = new DeviceListStream(ports.clock, options.devices, (open) => this.#onStreams(open));
    this.#look = new DirectoryLook(ports.files, ports.clock, this.#way.directory, () => this.#onLook());
    checkSocketPath(this.#way.directory, this.#newName());
  }

  start(): void {
    this.#look.start();
    this.#running ??= this.#run();
  }

  /** Replaces the list; kubelet hears of it within 100 ms. */
  update(devices: readonly ListedDevice[]): void {
    this.#list.update(devices);
    this.#report();
  }

  get state(): PluginState {
    const { devices } = this.#list;
    return {
      resource: this.#options.resource,
      registered: this.#registered,
      since: this.#since,
      lastError: this.#lastError,
      capacity: devices.length,
      healthy: devices.filter((device) => device.health === 'Healthy').length,
    };
  }

  /** Takes the resource away: kubelet is told an empty list, then the plugin ends. */
  async withdraw(): Promise<void> {
    this.update([]);
    this.#list.flush();
    await this.stop();
  }

  /** Ends the streams, closes the server, removes the own socket. Devices that pods hold stay with them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#look.stop();
    this.#lose('the plugin stops');
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      const begun = this.#ports.clock.monotonic();
      try {
        const why = await this.#live();
        if (!this.#stopping) this.#lastError = why;
        await this.#closeUnless(false);
      } catch (error) {
        this.#lastError = error instanceof Error ? error.message : String(error);
      }
      if (this.#registered && this.#ports.clock.monotonic() - begun >= steadyAfter) this.#failures = 0;
      this.#setRegistered(false);
      if (!this.#stopping) await this.#pause();
    }
    await this.#closeUnless(false);
  }

  /** One try: serve, register, and stay until kubelet has lost us. Returns why. */
  async #live(): Promise<string> {
    this.#tried = this.#way.kubelet();
    await this.#closeUnless(true);
    const session = (this.#session ??= await this.#listen());
    if (this.#stopping) return 'the plugin stops';
    session.kubelet = this.#tried;
    if (this.#list.open === 0) {
      const ending = new AbortController();
      const accepted = this.#way.register(session.socket.name, ending.signal);
      const refused = await Promise.race([accepted, session.opened.promise, session.lost.promise]);
      if (typeof refused === 'string') {
        ending.abort();
        return refused;
      }
      session.used = true;
      const silence = `kubelet accepted ${this.#options.resource} and did not open its list within ${streamDeadline / 1000} s`;
      const timer = this.#ports.clock.after(streamDeadline, () => this.#lose(silence));
      const unheard = await Promise.race([session.opened.promise, session.lost.promise]);
      timer.cancel();
      if (typeof unheard === 'string') return unheard;
    }
    session.used = true;
    this.#setRegistered(true);
    return session.lost.promise;
  }

  async #listen(): Promise<Session> {
    const { directory } = this.#way;
    const identity = entryIdentity(this.#ports.files, directory);
    return {
      socket: await listen(this.#ports, directory, this.#newName(), this.#routes()),
      directory: identity,
      kubelet: null,
      used: false,
      over: false,
      opened: Promise.withResolvers<void>(),
      lost: Promise.withResolvers<string>(),
    };
  }

  #routes(): readonly Route[] {
    const { handlers } = this.#options;
    return [
      ...this.#way.routes,
      answer(devicePlugin.getDevicePluginOptions, () => pluginOptions),
      answerStream(devicePlugin.listAndWatch, (stream) => this.#list.add(stream)),
      answer(devicePlugin.getPreferredAllocation, ({ containerRequests }) => ({
        containerResponses: containerRequests.map((request) => handlers.prefer(request)),
      })),
      answer(devicePlugin.allocate, async ({ containerRequests }) => {
        const containerResponses: ContainerAllocateResponse[] = [];
        for (const ids of containerRequests) containerResponses.push(await handlers.allocate(ids));
        return { containerResponses };
      }),
      answer(devicePlugin.preStartContainer, async ({ ids }) => {
        await handlers.preStart(ids);
        return {};
      }),
    ];
  }

  #onStreams(open: number): void {
    const session = this.#session;
    if (open > 0) {
      session?.opened.resolve();
      this.#wake?.();
    } else if (session?.used === true) {
      this.#lose('kubelet ended ListAndWatch');
    }
  }

  /** Every sign but the stream's end that kubelet does not know this session any more. */
  #onLook(): void {
    try {
      const kubelet = this.#way.kubelet();
      if (kubelet !== null && kubelet !== this.#tried) this.#wake?.();
      if (this.#session !== null) this.#inspect(this.#session, kubelet);
    } catch (error) {
      // Not to see is no sign; the next look is a second away.
      if (!(error instanceof FileError)) throw error;
    }
  }

  #inspect(session: Session, kubelet: string | null): void {
    const { directory } = this.#way;
    if (entryIdentity(this.#ports.files, directory) !== session.directory) this.#lose(`${directory} was replaced`);
    else if (!session.socket.present()) this.#lose(`${session.socket.path} is gone`);
    else if (session.kubelet !== null && kubelet !== null && kubelet !== session.kubelet) {
      this.#lose(`${directory}/kubelet.sock is another one now`);
    }
  }

  #lose(reason: string): void {
    if (this.#session === null) return;
    this.#session.over = true;
    this.#session.lost.resolve(reason);
  }

  /** Closes the session, unless it may serve for the next try: never taken up by kubelet, its socket still there. */
  async #closeUnless(usable: boolean): Promise<void> {
    const session = this.#session;
    if (session === null) return;
    if (usable) this.#inspect(session, null);
    if (usable && !session.over && (!session.used || this.#list.open > 0)) return;
    this.#session = null;
    this.#list.endStreams();
    await session.socket.close(closeGrace);
  }

  /** Waits before the next try; another kubelet, or a stream that opened after all, ends the wait. */
  async #pause(): Promise<void> {
    const kubelet = this.#way.kubelet();
    if (this.#list.open > 0 || (kubelet !== null && kubelet !== this.#tried)) return;
    const limit = Math.min(backoff.longest, backoff.first * 2 ** this.#failures);
    this.#failures += 1;
    const over = Promise.withResolvers<void>();
    const timer = this.#ports.clock.after(limit * (0.5 + this.#ports.random.fraction() / 2), over.resolve);
    this.#wake = () => {
      this.#failures = 0;
      over.resolve();
    };
    await over.promise;
    timer.cancel();
    this.#wake = null;
  }

  #newName(): string {
    return socketName(this.#options.prefix, this.#options.resource, this.#ports.random.name(8));
  }

  #setRegistered(registered: boolean): void {
    if (this.#registered !== registered) this.#since = this.#ports.clock.now();
    this.#registered = registered;
    this.#report();
  }

  #report(): void {
    this.#options.onState?.(this.state);
  }
}

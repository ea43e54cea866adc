/** Everything that a node is told, checked. Paths are absolute, times in ms, sizes in bytes. */
export type Config = {
  readonly app: string;
  readonly primaryRegion: string | undefined;
  /** What the app's processes get in their environment, beside what the node itself sets. */
  readonly env: Readonly<Record<string, string>>;
  readonly processes: readonly ProcessConfig[];
  /** A shell command, run once on the primary before any process. */
  readonly releaseCommand: string | undefined;
  readonly releaseCommandTimeoutMs: number;
  /** The app's own port. */
  readonly internalPort: number;
  /** The door in front of the app. */
  readonly http: {
    /** Undefined: there is none. */
    readonly listen: { readonly host: string; readonly port: number } | undefined;
    readonly forward: 'direct' | 'fly-replay';
    /** The one database whose position counts; undefined for all. */
    readonly database: string | undefined;
    readonly primaryWaitMs: number;
    readonly readWaitMs: number;
    /** A number is of other nodes; undefined: `replica` where a candidate is connected, else `local`. */
    readonly durability: 'local' | 'replica' | number | undefined;
    readonly durabilityWaitMs: number;
    /** Paths in which `*` stands for any text. */
    readonly alwaysForward: readonly string[];
    readonly passthrough: readonly string[];
    readonly trustForwarded: 'none' | 'private' | 'all';
    readonly replayBodyMax: number;
    readonly headMax: number;
    readonly headTimeoutMs: number;
    readonly idleTimeoutMs: number;
    readonly progressTimeoutMs: number;
    readonly drainTimeoutMs: number;
    /** 0 for any. */
    readonly maxLagMs: number;
    readonly connectionsMax: number;
    readonly appConnectionsMax: number;
  };
  readonly killSignal: NodeJS.Signals;
  readonly killTimeoutMs: number;
  readonly database: { readonly dir: string };
  readonly node: {
    readonly name: string;
    readonly region: string;
    readonly listen: { readonly host: string; readonly port: number };
    /** The origin under which other nodes reach this one. */
    readonly advertise: string;
    readonly candidate: boolean;
    readonly secret: string | undefined;
  };
  readonly lease: {
    readonly type: 'static' | 'file' | 'etcd' | 'redis' | 'consul';
    /** An origin. The node that advertises it is the primary; without it, this node is. */
    readonly primary: string | undefined;
    /** A directory, absolute. */
    readonly path: string | undefined;
    /** May hold a password. */
    readonly url: string | undefined;
    readonly key: string;
    readonly ttlMs: number;
  };
  readonly nodeJs: {
    /** Node.js processes of the app preload `skein/register`. */
    readonly register: boolean;
  };
  readonly log: { readonly retentionMs: number; readonly bytesMax: number };
  /** What the file has that is accepted and has no meaning yet, such as `http_service.concurrency`. */
  readonly sections: readonly string[];
  /** The files that were read. */
  readonly sources: readonly string[];
  /** What only a litefs.yml says; not there with any other configuration. */
  readonly litefs?: LiteFsConfig;
};

export type LiteFsConfig = {
  /** Run to their end, in order, before the processes. */
  readonly setup: readonly SetupCommand[];
  /** The processes start before this node is in step. */
  readonly skipSync: boolean;
  /** Otherwise a start that fails leaves the node up, for a person to look at. */
  readonly exitOnError: boolean;
  /** A candidate asks for the lead before its processes start. */
  readonly promote: boolean;
};

export type SetupCommand = {
  readonly argv: readonly string[];
  /** Left out on a node that is no candidate. */
  readonly ifCandidate: boolean;
};

export type ProcessConfig = {
  readonly name: string;
  /** For a shell, unless `argv` is there; then it is only for people to read. */
  readonly command: string;
  /** Program and arguments, run without a shell. */
  readonly argv?: readonly string[];
  readonly on: 'all' | 'primary';
};

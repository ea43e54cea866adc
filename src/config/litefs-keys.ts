/** What a value of litefs.yml has to be. */
export type LiteFsKind = 'boolean' | 'text' | 'duration' | 'number' | 'texts' | 'exec';

/** One key of litefs.yml: what it becomes here, or why it becomes nothing. */
export type LiteFsKey = {
  readonly kind: LiteFsKind;
  /** Our key, dotted, that takes the value as it is. */
  readonly becomes?: string;
  /** Why it has no meaning here. Keys with neither are dealt with one by one. */
  readonly without?: string;
};

function becomes(kind: LiteFsKind, key: string): LiteFsKey {
  return { kind, becomes: key };
}

function without(kind: LiteFsKind, why: string): LiteFsKey {
  return { kind, without: why };
}

const fuse = 'there is no FUSE';
const backup = 'backups are not part of a node yet';

/** All keys of LiteFS 0.5, also those that its documentation leaves out. */
export const liteFsKeys: Readonly<Record<string, LiteFsKey>> = {
  'exit-on-error': { kind: 'boolean' },
  'skip-sync': { kind: 'boolean' },
  'strict-verify': without('boolean', 'every transaction is checked'),
  exec: { kind: 'exec' },
  'data.dir': without('text', 'databases are ordinary files in fuse.dir'),
  'data.compress': without('boolean', 'pages are always compressed'),
  'data.retention': becomes('duration', 'log.retention'),
  'data.retention-monitor-interval': without('duration', 'it is looked every few seconds'),
  'fuse.dir': { kind: 'text' },
  'fuse.allow-other': without('boolean', fuse),
  'fuse.debug': without('boolean', fuse),
  'http.addr': { kind: 'text' },
  'http.snapshot-timeout': without('duration', 'a snapshot ends when its reader is silent'),
  'proxy.addr': becomes('text', 'http.listen'),
  'proxy.target': { kind: 'text' },
  'proxy.db': becomes('text', 'http.database'),
  'proxy.max-lag': becomes('duration', 'http.max_lag'),
  'proxy.debug': without('boolean', 'metrics and the log tell'),
  'proxy.passthrough': becomes('texts', 'http.passthrough'),
  'proxy.always-forward': becomes('texts', 'http.always_forward'),
  'proxy.primary-redirect-timeout': becomes('duration', 'http.primary_wait'),
  'proxy.read-timeout': without('duration', 'the door has limits of its own'),
  'proxy.read-header-timeout': becomes('duration', 'http.head_timeout'),
  'proxy.write-timeout': without('duration', 'the door has limits of its own'),
  'proxy.idle-timeout': becomes('duration', 'http.idle_timeout'),
  'lease.type': becomes('text', 'lease.type'),
  'lease.hostname': { kind: 'text' },
  'lease.advertise-url': { kind: 'text' },
  'lease.candidate': { kind: 'boolean' },
  'lease.promote': { kind: 'boolean' },
  'lease.reconnect-delay': without('duration', 'it is tried again after 0.1 to 3 s'),
  'lease.demote-delay': without('duration', 'a handoff names who leads next'),
  'lease.databases': without('texts', 'every node has all databases'),
  'lease.consul.url': becomes('text', 'lease.url'),
  'lease.consul.key': { kind: 'text' },
  'lease.consul.ttl': becomes('duration', 'lease.ttl'),
  'lease.consul.lock-delay': without('duration', 'a holder stops by its own clock before its TTL ends'),
  'backup.type': without('text', backup),
  'backup.path': without('text', backup),
  'backup.url': without('text', backup),
  'backup.cluster': without('text', backup),
  'backup.auth-token': without('text', backup),
  'log.format': without('text', 'the log is text'),
  'log.timestamp': without('boolean', 'each line has its time'),
  'log.debug': without('boolean', 'there is one level of detail'),
  'tracing.enabled': without('boolean', 'metrics and the log tell'),
  'tracing.path': without('text', 'metrics and the log tell'),
  'tracing.max-size': without('number', 'metrics and the log tell'),
  'tracing.max-count': without('number', 'metrics and the log tell'),
  'tracing.compress': without('boolean', 'metrics and the log tell'),
};

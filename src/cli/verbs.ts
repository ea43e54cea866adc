import type { VerbEntry } from './verb.ts';

/** Every verb but `help`, in the order in which `skein help` shows them. */
export const verbs: readonly VerbEntry[] = [
  {
    name: 'run',
    summary: 'Run a node: the database, and the processes of the app',
    load: async () => (await import('./run.ts')).run,
  },
  {
    name: 'mount',
    summary: 'Run a node from a litefs.yml, as `litefs mount` does',
    load: async () => (await import('./mount.ts')).mountVerb,
  },
  {
    name: 'status',
    summary: 'Show a node: its role, its databases, its replicas, its processes',
    load: async () => (await import('./status.ts')).status,
  },
  {
    name: 'events',
    summary: 'Follow what happens on a node',
    load: async () => (await import('./events.ts')).events,
  },
  {
    name: 'export',
    summary: 'Copy a database of a node into a file',
    load: async () => (await import('./export.ts')).exportVerb,
  },
  {
    name: 'import',
    summary: 'Make a file a database of the primary',
    load: async () => (await import('./import.ts')).importVerb,
  },
  {
    name: 'handoff',
    summary: 'Have another node lead',
    load: async () => (await import('./handoff.ts')).handoff,
  },
  {
    name: 'promote',
    summary: 'Have this node lead',
    load: async () => (await import('./promote.ts')).promote,
  },
  {
    name: 'doctor',
    summary: 'Find out what is wrong: configuration, lease store, clocks, who could lead and who not',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'lost list',
    summary: 'List the states that a node kept when the primary replaced them',
    load: async () => (await import('./lost-list.ts')).lostList,
  },
  {
    name: 'lost show',
    summary: 'Show as SQL what such a state has and the database has not',
    load: async () => (await import('./lost-show.ts')).lostShow,
  },
  {
    name: 'lost export',
    summary: 'Write such a state into a file',
    load: async () => (await import('./lost-export.ts')).lostExport,
  },
  {
    name: 'config check',
    summary: 'Check the configuration and show where each value comes from',
    load: async () => (await import('./config-check.ts')).configCheck,
  },
  {
    name: 'version',
    summary: 'Show the versions of Skein, Node.js and SQLite',
    load: async () => (await import('./version.ts')).version,
  },
];

import { SkeinError } from '../base/errors.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { checkData } from './check-data.ts';
import { checkLead, lookAtLease } from './check-lease.ts';
import { checkClock, checkNode, lookAtNode, type NodeLook, statusOf, unreached } from './check-nodes.ts';
import { nodeFlagsHelp, parseVerbFlags, type VerbFlags } from './config-flags.ts';
import { type Diagnosis, diagnosisText } from './diagnosis-text.ts';
import { type Finding, ok, warning } from './finding.ts';
import { knownNodes } from './known-nodes.ts';
import { clientFor, type NodeClient } from './node-client.ts';
import type { Verb, VerbInput } from './verb.ts';

async function run(input: VerbInput): Promise<number> {
  const flags = parseVerbFlags(input.argv, ['json'], ['url']);
  if (flags.positionals[0] !== undefined) {
    throw new SkeinError('USAGE', `Unexpected argument "${flags.positionals[0]}". A node is named by --url.`);
  }
  const diagnosis = await diagnose(input, flags);
  const isWell = diagnosis.findings.every(({ mark }) => mark !== 'warning');
  const json = { ok: isWell, ...diagnosis };
  process.stdout.write(
    flags.values.has('json') ? `${JSON.stringify(json, undefined, 2)}\n` : diagnosisText(diagnosis),
  );
  return isWell ? 0 : 1;
}

async function diagnose(input: VerbInput, flags: VerbFlags): Promise<Diagnosis> {
  const configured = configOf(input, flags);
  if ('problem' in configured) return { findings: [configured.problem], safe: null, nodes: [] };
  const { config } = configured;
  const findings: Finding[] = [
    ok('configuration', config.sources.join(', ') || 'no file; variables and defaults'),
  ];
  // Before the nodes are asked: what they hold by then is no less than what the record says.
  const lease = await lookAtLease(config);
  const givenUrl = flags.values.get('url');
  const client = clientFor(input, flags.configArgv, givenUrl);
  const looks = await lookAtNodes(client, findings);
  if (givenUrl === undefined) findings.push(...checkData(config.database.dir));
  findings.push(lease.finding);
  const statuses = looks.map(({ status }) => status);
  const others = lease.announcements.filter(({ node }) => statuses.every((status) => status.node !== node));
  const answers = await Promise.all(others.map(({ url }) => statusOf(client.at(url))));
  const nodes = knownNodes({
    isFixed: config.lease.type === 'static',
    record: lease.record,
    isHeld: lease.isHeld,
    announcements: lease.announcements,
    statuses: [...statuses, ...answers.filter((answer) => answer !== undefined)],
  });
  findings.push(...checkLead(lease, nodes));
  return { findings, safe: lease.record?.safe ?? null, nodes };
}

/** The node that was named, and the primary that it follows. */
async function lookAtNodes(client: NodeClient, findings: Finding[]): Promise<NodeLook[]> {
  let own: NodeLook;
  try {
    own = await lookAtNode(client);
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    findings.push(unreached(error));
    return [];
  }
  findings.push(...checkNode(client.url, own), checkClock(own.status.node, own.clockAheadMs));
  const { role, primary } = own.status;
  if (role === 'primary' || primary === null) return [own];
  try {
    const leader = await lookAtNode(client.at(primary.url));
    findings.push(checkClock(leader.status.node, leader.clockAheadMs));
    return [own, leader];
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    const advice = 'If that is so from the other nodes too, open its port to them.';
    findings.push(warning('primary', error.message, advice));
    return [own];
  }
}

function configOf(
  { env, cwd }: VerbInput,
  { configArgv }: VerbFlags,
): { config: Config } | { problem: Finding } {
  try {
    return { config: loadConfig({ argv: configArgv, env, cwd }) };
  } catch (error) {
    if (!(error instanceof SkeinError)) throw error;
    return { problem: warning('configuration', error.message, 'Nothing else can be looked at before.') };
  }
}

export const doctor: Verb = {
  help: `Usage: skein doctor [--json] [--url URL] [--config FILE]

Looks at everything that has to be right for a node to lead or follow: the configuration, the node, the clocks, the
data directory, the lease store, who leads, and for each node that is known whether it could lead now, or why not.
It changes nothing. The node need not run: then what its files and the lease store say is shown. With --url the data
directory is not looked at, since it may be another machine's.

The exit code is 0 when there is no warning, else 1.

  --json         All that was found, as JSON
${nodeFlagsHelp}`,
  run,
};

import { onPrimary } from '../../src/client/on-primary.ts';

/** A process that its node runs: it asks the primary for a greeting. */
const greet = onPrimary('greet', () => `hello from ${process.env.FLY_MACHINE_ID}`);
console.log(await greet());
setInterval(() => undefined, 60_000);

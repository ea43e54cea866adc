import { conformsTo } from './support/client-conformance.ts';

conformsTo('fastify-app.js');

import { conformsTo } from './support/client-conformance.ts';

conformsTo('hono-app.js');

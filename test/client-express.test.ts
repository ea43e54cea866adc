import { conformsTo } from './support/client-conformance.ts';

conformsTo('express-app.js');

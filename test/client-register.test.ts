import { conformsTo } from './support/client-conformance.ts';

conformsTo('plain-app.js', { toml: '[node_js]\nregister = true\n' });

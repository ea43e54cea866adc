import { conformsTo } from './support/client-conformance.ts';

// The door does the work, and the library in the app tells it of what only the app can see.
conformsTo('plain-app.js', { toml: '[node_js]\nregister = true\n', hasDoor: true });

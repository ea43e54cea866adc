import { registerNow } from './register-now.ts';

/**
 * `node --import skein/register app.js`: the middleware around every request of the server that listens on `PORT`, and the guard
 * on every handle of a database in `SKEIN_DIR`, for code that does not know of Skein. Outside of Skein it does nothing.
 */
registerNow();

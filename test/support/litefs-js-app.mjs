// An app as litefs-js's README has it: Express, its handlers, and a database in LITEFS_DIR.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import express from 'express';
import * as litefs from 'litefs-js';
import * as handlers from 'litefs-js/express';

const { DATABASE_FILENAME = '', LITEFS_DIR = '', PORT } = process.env;
const path = join(LITEFS_DIR, DATABASE_FILENAME);
let opened;

function database() {
  opened ??= new DatabaseSync(path, { timeout: 5_000 });
  return opened;
}

const app = express();
app.get('/litefs', async (_request, response) => {
  const info = await litefs.getInstanceInfo();
  const sync = litefs.getInstanceInfoSync();
  const txNumber = await litefs.getTxNumber();
  const instances = await litefs.getAllInstances();
  const domain = litefs.getInternalInstanceDomain(info.primaryInstance);
  response.json({ info, sync, txNumber, instances, domain });
});
app.get('/wait/:number', async (request, response) => {
  response.json(await litefs.waitForUpToDateTxNumber(Number(request.params.number)));
});
app.use(handlers.getTransactionalConsistencyMiddleware());
app.use(handlers.getEnsurePrimaryMiddleware());
app.get('/notes', (_request, response) => {
  response.json(database().prepare('SELECT count(*) AS count FROM notes').get());
});
app.post('/notes', (_request, response, next) => {
  database().exec("INSERT INTO notes (text) VALUES ('one')");
  response.status(201);
  next();
});
app.use(handlers.getSetTxNumberMiddleware());
app.post('/notes', (_request, response) => response.json({}));
app.listen(Number(PORT), '127.0.0.1');

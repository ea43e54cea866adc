import express from 'express';
import { allResources, forget, resource } from './resources.ts';

const region = process.env.FLY_REGION ?? 'here';
const app = express();

app.get('/resources', (_request, response) => {
  response.json({ answered_in: region, resources: allResources() });
});

app.get('/resources/:id', async (request, response) => {
  const found = await resource(Number(request.params.id));
  if (found) response.json({ answered_in: region, ...found });
  else response.status(404).json({ answered_in: region, error: 'no such resource' });
});

app.delete('/resources/:id', (request, response) => {
  response.status(forget(Number(request.params.id)) ? 204 : 404).end();
});

const port = Number(process.env.PORT ?? 3000);
app.listen(port, '127.0.0.1', () => console.log(`listening on port ${port}`));

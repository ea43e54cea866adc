const { createServer } = require('node:http');
const { join } = require('node:path');
const Database = require('better-sqlite3');

/** CommonJS and better-sqlite3, opened at the start, with a transaction; it has never heard of Skein. */
const database = new Database(join(process.env.SKEIN_DIR, 'app.db'));
const insert = database.prepare('INSERT INTO note (text, node) VALUES (?, ?)');
const add = database.transaction((text) => insert.run(text, process.env.FLY_MACHINE_ID).lastInsertRowid);
const count = database.prepare('SELECT count(*) AS count FROM note');

createServer((request, response) => {
  try {
    const isRead = request.url === '/notes' && request.method === 'GET';
    response.end(JSON.stringify(isRead ? count.get() : { id: Number(add.immediate('x')) }));
  } catch (error) {
    response.statusCode = 500;
    response.end(error.message);
  }
}).listen(Number(process.env.PORT), '127.0.0.1');

import('better-sqlite3').then(({ default: imported }) => {
  if (imported !== Database) throw new Error('an import gives another class');
});

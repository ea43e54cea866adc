import type { DatabaseSync, StatementSync } from 'node:sqlite';

export interface Place {
  id: number;
  name: string;
  country: string;
  population: number;
  latitude: number;
  longitude: number;
}

/** Straight-line degrees north per kilometre, everywhere on the globe. */
const degreesPerKm = 1 / 111.195;
const earthRadiusKm = 6371;
const halfwayRoundKm = Math.PI * earthRadiusKm;

/** The read side of the app: every query it makes on places, prepared once. */
export class Places {
  readonly #byId: StatementSync;
  readonly #byName: StatementSync;
  readonly #inBox: StatementSync;
  readonly #largest: StatementSync;
  readonly #visits: StatementSync;
  readonly #countries: StatementSync;

  constructor(database: DatabaseSync) {
    const columns = 'places.id, name, country, population, latitude, longitude';
    this.#byId = database.prepare(`SELECT ${columns} FROM places WHERE id = ?`);
    this.#byName = database.prepare(`
      SELECT places.id, places.name, country, population, latitude, longitude
      FROM place_names JOIN places ON places.id = place_names.rowid
      WHERE place_names MATCH ?
      ORDER BY places.name = ? COLLATE NOCASE DESC, population DESC LIMIT ?`);
    this.#inBox = database.prepare(`
      SELECT ${columns} FROM place_areas JOIN places USING (id)
      WHERE north >= ? AND south <= ? AND east >= ? AND west <= ?`);
    this.#largest = database.prepare(
      'SELECT longitude, latitude FROM places ORDER BY population DESC LIMIT ?',
    );
    this.#visits = database.prepare('SELECT count(*) AS visits FROM visits WHERE place_id = ?');
    this.#countries = database.prepare(
      'SELECT country, visits FROM visits_by_country ORDER BY visits DESC, country LIMIT 300',
    );
  }

  byId(id: number): (Place & { visits: number }) | undefined {
    const place = this.#byId.get(id) as Place | undefined;
    if (!place) return undefined;
    const { visits } = this.#visits.get(id) as { visits: number };
    return { ...place, visits };
  }

  /** Places with a word that begins with each word given: an exact name first, then the largest. */
  search(name: string, limit: number): Place[] {
    const words = name.match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
    if (words.length === 0) return [];
    const match = words.map((word) => `"${word}"*`).join(' ');
    return this.#byName.all(match, name, limit) as unknown as Place[];
  }

  /** The nearest places, nearest first, from a circle that doubles until it holds enough of them. */
  near(latitude: number, longitude: number, limit: number): (Place & { km: number })[] {
    for (let radiusKm = 10; ; radiusKm *= 2) {
      const found = this.#within(latitude, longitude, radiusKm);
      if (found.length < limit && radiusKm < halfwayRoundKm) continue;
      return found.sort((a, b) => a.km - b.km).slice(0, limit);
    }
  }

  #within(latitude: number, longitude: number, radiusKm: number): (Place & { km: number })[] {
    const found: (Place & { km: number })[] = [];
    for (const [west, east] of longitudes(latitude, longitude, radiusKm)) {
      const height = radiusKm * degreesPerKm;
      const rows = this.#inBox.all(latitude - height, latitude + height, west, east);
      for (const place of rows as unknown as Place[]) {
        const km = distanceKm(latitude, longitude, place.latitude, place.longitude);
        if (km <= radiusKm) found.push({ ...place, km: Math.round(km * 10) / 10 });
      }
    }
    return found;
  }

  /** `[longitude, latitude]` of the largest places: enough dots to draw the continents. */
  largest(limit: number): [number, number][] {
    const rows = this.#largest.all(limit) as unknown as Place[];
    return rows.map(({ longitude, latitude }) => [round2(longitude), round2(latitude)]);
  }

  countries(): { country: string; visits: number }[] {
    return this.#countries.all() as unknown as { country: string; visits: number }[];
  }
}

/** The longitudes that a circle covers: one range, or two where it crosses the 180th meridian. */
function longitudes(latitude: number, longitude: number, radiusKm: number): [number, number][] {
  const height = radiusKm * degreesPerKm;
  const reachesPole = Math.abs(latitude) + height >= 90;
  if (reachesPole) return [[-180, 180]];
  const ratio = Math.sin(radiusKm / earthRadiusKm) / Math.cos(radians(latitude));
  const width = (Math.asin(Math.min(1, ratio)) * 180) / Math.PI;
  const [west, east] = [longitude - width, longitude + width];
  if (west < -180)
    return [
      [-180, east],
      [west + 360, 180],
    ];
  if (east > 180)
    return [
      [west, 180],
      [-180, east - 360],
    ];
  return [[west, east]];
}

function distanceKm(latitudeA: number, longitudeA: number, latitudeB: number, longitudeB: number): number {
  const north = Math.sin(radians(latitudeB - latitudeA) / 2);
  const east = Math.sin(radians(longitudeB - longitudeA) / 2);
  const h = north * north + Math.cos(radians(latitudeA)) * Math.cos(radians(latitudeB)) * east * east;
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(h)));
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

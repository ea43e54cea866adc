import { cache } from 'skein/client';

export type Person = {
  readonly name: string;
  readonly region: string;
  readonly node: string;
};

/** A node of this app, and the address at which browsers find it, where each has its own. */
export type Place = {
  readonly region: string;
  readonly url?: string;
};

/** An entry lives for so long without being renewed: what a node had said is forgotten when it was killed. */
const ttlMs = 9_000;
const renewMs = 3_000;

/** Who is there, and where: of each process its own part, which the caches bring to all others. */
export class Presence {
  readonly #people = cache<Person>('people', { ttl: ttlMs });
  readonly #places = cache<Place>('places', { ttl: ttlMs });
  readonly #node: string;
  readonly #place: Place;
  /** People with a socket in this process, and how many. */
  readonly #here = new Map<string, { name: string; sockets: number }>();
  readonly #timer: NodeJS.Timeout;

  constructor(node: string, place: Place) {
    this.#node = node;
    this.#place = place;
    this.#timer = setInterval(() => this.#renew(), renewMs);
    this.#renew();
  }

  onChange(changed: () => void): void {
    this.#people.onChange(changed);
    this.#places.onChange(changed);
    // Each node renews its own entry, and so is a change every few seconds: what has expired meanwhile is seen missing then.
  }

  enter(person: string, name: string): void {
    const sockets = (this.#here.get(person)?.sockets ?? 0) + 1;
    this.#here.set(person, { name, sockets });
    this.#tell(person, name);
  }

  rename(person: string, name: string): void {
    const here = this.#here.get(person);
    if (!here) return;
    here.name = name;
    this.#tell(person, name);
  }

  leave(person: string): void {
    const here = this.#here.get(person);
    if (!here) return;
    here.sockets -= 1;
    if (here.sockets > 0) return;
    this.#here.delete(person);
    // Whoever came in by another node meanwhile is there.
    if (this.#people.get(person)?.node === this.#node) this.#people.delete(person);
  }

  people(): (Person & { id: string })[] {
    return this.#people
      .keys()
      .flatMap((id) => {
        const person = this.#people.get(id);
        return person ? [{ id, ...person }] : [];
      })
      .sort((a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id));
  }

  places(): (Place & { node: string })[] {
    return this.#places
      .keys()
      .flatMap((node) => {
        const place = this.#places.get(node);
        return place ? [{ node, ...place }] : [];
      })
      .sort((a, b) => a.region.localeCompare(b.region) || a.node.localeCompare(b.node));
  }

  regionOf(node: string | undefined): string | undefined {
    return node === undefined ? undefined : this.#places.get(node)?.region;
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const person of this.#here.keys()) this.#people.delete(person);
    this.#places.delete(this.#node);
  }

  #renew(): void {
    this.#places.set(this.#node, this.#place);
    for (const [person, { name }] of this.#here) this.#tell(person, name);
  }

  #tell(person: string, name: string): void {
    this.#people.set(person, { name, region: this.#place.region, node: this.#node });
  }
}

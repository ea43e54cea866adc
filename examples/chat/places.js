const cities = {
  ams: 'Amsterdam',
  bom: 'Mumbai',
  cdg: 'Paris',
  fra: 'Frankfurt',
  gru: 'São Paulo',
  hkg: 'Hong Kong',
  iad: 'Ashburn',
  jnb: 'Johannesburg',
  lhr: 'London',
  nrt: 'Tokyo',
  ord: 'Chicago',
  sin: 'Singapore',
  sjc: 'San Jose',
  syd: 'Sydney',
};
const hues = { ams: 45, ord: 260, syd: 165 };

export function cityOf(region) {
  return cities[region] ?? region;
}

/** A colour for each region, the same on every page. */
export function hueOf(region) {
  return hues[region] ?? [...region].reduce((sum, letter) => sum * 31 + letter.codePointAt(0), 7) % 360;
}

export function initialsOf(name) {
  const words = name.trim().split(/\s+/);
  return words
    .slice(0, 2)
    .map((word) => [...word][0])
    .join('')
    .toUpperCase();
}

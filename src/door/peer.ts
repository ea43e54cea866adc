import type { Sender } from './forward-head.ts';
import type { RequestHead } from './request-head.ts';

/** Of whom the door believes what they say of the client behind them. */
export type ForwardedTrust = 'none' | 'private' | 'all';

const ofTheClient: ReadonlySet<string> = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'forwarded',
  'skein-hop',
]);
const ofAStranger: ReadonlySet<string> = new Set([...ofTheClient, 'fly-replay-src']);
const none: ReadonlySet<string> = new Set();

const privateAddress =
  /^(?:127\.|10\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|::1$|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)/i;

/** Who is at the other end of a client's connection, and what the app is told of that. */
export class Peer {
  /** Of a tunnel: what its two ends have agreed on. */
  readonly againMark: string | undefined;
  readonly #address: string;
  readonly #isTrusted: boolean;

  private constructor(againMark: string | undefined, address: string, isTrusted: boolean) {
    this.againMark = againMark;
    this.#address = address;
    this.#isTrusted = isTrusted;
  }

  static at(remoteAddress: string | undefined, trust: ForwardedTrust): Peer {
    const address = (remoteAddress ?? 'unknown').replace(/^::ffff:/i, '');
    const isTrusted = trust === 'all' || (trust === 'private' && privateAddress.test(address));
    return new Peer(undefined, address, isTrusted);
  }

  /** Another door, which has said all this, or the app. */
  static tunnel(againMark: string): Peer {
    return new Peer(againMark, '', true);
  }

  get isTunnel(): boolean {
    return this.againMark !== undefined;
  }

  sender({ fields, host = '' }: RequestHead): Sender {
    if (this.isTunnel) return { lines: '', replaces: none };
    const address = this.#address;
    const given = (name: string) => (this.#isTrusted ? fields.get(name) : undefined);
    const addresses = given('x-forwarded-for');
    const proto = given('x-forwarded-proto') ?? 'http';
    const forHost = given('x-forwarded-host') ?? host;
    const before = given('forwarded');
    const node = address.includes(':') ? `"[${address}]"` : address;
    const element = `for=${node};host="${host}";proto=${proto === 'https' ? 'https' : 'http'}`;
    const lines = `X-Forwarded-For: ${addresses === undefined ? address : `${addresses}, ${address}`}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${forHost}\r\nForwarded: ${before === undefined ? element : `${before}, ${element}`}\r\n`;
    return { lines, replaces: this.#isTrusted ? ofTheClient : ofAStranger };
  }

  /** Whether the client came by TLS to the first proxy. */
  isSecure({ fields }: RequestHead): boolean {
    return (
      this.#isTrusted && fields.get('x-forwarded-proto')?.split(',')[0]?.trim().toLowerCase() === 'https'
    );
  }
}

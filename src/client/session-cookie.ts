import type { IncomingMessage } from 'node:http';
import { cookieName } from './position-text.ts';

const seconds = 300;

/** The value of `Set-Cookie` that gives a session its position; with an empty text, that takes it away. */
export function sessionCookie(text: string, { socket, headers }: IncomingMessage): string {
  const isSecure = 'encrypted' in socket || /^https\b/i.test(String(headers['x-forwarded-proto']));
  const attributes = `Path=/; Max-Age=${text === '' ? 0 : seconds}; HttpOnly; SameSite=Lax`;
  return `${cookieName}=${text}; ${attributes}${isSecure ? '; Secure' : ''}`;
}

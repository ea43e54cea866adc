import { connect, type Socket } from 'node:net';

export type LoadRequest = {
  method: 'GET' | 'POST';
  path: string;
  /** More lines of the request's head. */
  headers?: readonly string[];
};

const headEnd = Buffer.from('\r\n\r\n');

/** A connection that stays open, with one request at a time. */
export class LoadConnection {
  readonly #socket: Socket;
  #answered: (head: string) => void = () => undefined;
  #head = '';
  /** Bytes of the body that have not come; less than none while the head has not. */
  #left = -1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => this.#answered('the connection broke'));
  }

  static open(port: number): Promise<LoadConnection> {
    return new Promise((resolve, reject) => {
      const open = () => {
        socket.off('error', reject);
        resolve(new LoadConnection(socket));
      };
      const socket = connect({ port, host: '127.0.0.1', noDelay: true }, open);
      socket.once('error', reject);
    });
  }

  /** `answered` is called with the head of the answer when all of that has come, or with a text that is none. */
  ask(request: Buffer, answered: (head: string) => void): void {
    this.#answered = answered;
    this.#left = -1;
    this.#socket.write(request);
  }

  end(): void {
    this.#answered = () => undefined;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    let bytes = chunk.length;
    if (this.#left < 0) {
      // Responses are small: the head comes in one piece.
      const end = chunk.indexOf(headEnd);
      this.#head = chunk.toString('latin1', 0, end);
      this.#left = Number(/\r\ncontent-length: (\d+)/i.exec(this.#head)?.[1] ?? 0);
      bytes -= end + headEnd.length;
    }
    this.#left -= bytes;
    if (this.#left <= 0) this.#answered(this.#head);
  }
}

/** Five fields and those given; a POST has a small body. */
export function loadRequest({ method, path, headers = [] }: LoadRequest): Buffer {
  const body = method === 'POST' ? 'a small body that is to be written' : '';
  const head = [
    `${method} ${path} HTTP/1.1`,
    'Host: app.example',
    'User-Agent: bench',
    'Accept: application/json',
    'Accept-Encoding: gzip',
    ...headers,
    ...(body === '' ? [] : [`Content-Length: ${body.length}`]),
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

/** A message that HTTP's rules forbid, or that is beyond a limit: with the status to answer it with, if it is a request. */
export class BadMessage extends Error {
  override readonly name = 'BadMessage';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

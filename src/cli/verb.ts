/** What a verb gets: the words after it, and where it was called. */
export type VerbInput = {
  readonly argv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
};

/** One verb of the command line. `run` returns the exit code, or throws SkeinError. */
export type Verb = {
  /** The full text of `skein help VERB`. */
  readonly help: string;
  readonly run: (input: VerbInput) => Promise<number>;
};

/** A verb as `skein help` lists it; its code is loaded when it is used. */
export type VerbEntry = {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Verb>;
};

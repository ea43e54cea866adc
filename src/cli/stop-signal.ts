/** Runs `task` with a signal that Ctrl-C and SIGTERM abort, so that it can clean up after itself. */
export async function withStopSignal(task: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  let exitCode = 0;
  const stop = (name: NodeJS.Signals): void => {
    exitCode = name === 'SIGINT' ? 130 : 143;
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    return await task(controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return exitCode;
    throw error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

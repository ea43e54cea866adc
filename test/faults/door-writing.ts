import type { DoorAnswer, FaultNode, Written } from './fault-node.ts';
import { type History, nowMs } from './history.ts';

const promisesNothing = /Nothing was (?:written|done)\.$/;

/** Writes a value through the door of a node, and notes what that promises about it. Undefined without an answer. */
export async function writeByDoor(
  history: History,
  node: FaultNode,
  value: string,
  cookie?: string,
): Promise<DoorAnswer<Written> | undefined> {
  const answer = await node.writeByDoor(value, cookie);
  if (isConfirmed(answer)) history.confirmedByDoor.set(value, { door: node.name, atMs: nowMs() });
  else if (answer && promisesNothing.test(answer.text.trimEnd())) history.refusedByDoor.add(value);
  if (answer?.status === 200) history.writtenByDoor += 1;
  return answer;
}

/** Whether the write may not be lost any more. Any other answer, and none, says that nobody knows. */
export function isConfirmed(answer: DoorAnswer<Written> | undefined): boolean {
  return answer?.status === 200 && answer.durability === 'replica';
}

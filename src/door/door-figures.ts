/** What a door has done since it opened. */
export class DoorFigures {
  /** Requests that went to the app of this node. */
  local = 0;
  /** Requests that went to another node. */
  forwarded = 0;
  replayed = 0;
  /** Writes that had to wait for a node to lead, and those for which none did in time. */
  held = 0;
  unheld = 0;
  /** Reads that had to wait for what their client has written, and those that waited in vain. */
  waited = 0;
  late = 0;
  /** Responses that went out before their write was as durable as it should be. */
  undurable = 0;
  /** Requests for which no connection came free in time. */
  crowded = 0;
}

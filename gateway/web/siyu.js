/**
 * Hub client: one room over one WebSocket (wire v1 of docs: text frames of JSON, each frame of the server an array).
 *
 * It resumes by "epoch:offset", comes back as the close code says, keeps the server's clock, acknowledges personal
 * messages and gives each command a promise. It draws nothing: pages listen with `on`.
 */

/** Milliseconds a command may wait for its answer, over reconnects too. */
const COMMAND_TIMEOUT_MS = 8000;
/** Milliseconds from opening a socket to the snapshot; a captive portal may swallow a WebSocket without an error. */
const SNAPSHOT_TIMEOUT_MS = 10000;
/** Backoff between attempts: full jitter under a doubling ceiling, so that a room does not come back in step. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15000;
/** Spread of those who may come back at once (closes 4000–4199 without a stated time). */
const AT_ONCE_MS = 800;
/** A connection that lasted this long was good: the next failure starts the backoff anew. */
const STABLE_MS = 10000;
/** Likes are summed for this long and sent as one command. */
const LIKE_MERGE_MS = 1000;
/** Most likes in one command; tapping faster than this is noise. */
const LIKES_PER_COMMAND_MAX = 50;
/** Personal messages that come together are acknowledged together. */
const ACK_DELAY_MS = 150;
/** Commands without an answer at a time; above it the page is refused at once. */
const PENDING_MAX = 64;

/** After one of these nobody knows whether the command acted: try again with the same key. */
export const OUTCOME_UNKNOWN = new Set(["timeout", "disconnected", "hub_closed", "busy"]);

/** A refusal by the hub, or a command that found no answer (`timeout`, `disconnected`, `hub_closed`). */
export class CommandError extends Error {
  /**
   * @param {string} code stable code, such as "sold_out"
   * @param {string} message English text of the server
   * @param {Record<string, unknown>} [extra] the other fields of the error, such as retry_ms or price
   */
  constructor(code, message, extra = {}) {
    super(message || code);
    this.name = "CommandError";
    this.code = code;
    this.extra = extra;
    this.retryMs = Number(extra.retry_ms) || 0;
  }
}

/**
 * What to do after a close, by the ranges of the wire (4000–4199 at once, 4200–4399 after the stated time, 4400–4499 never).
 * @param {number} code WebSocket close code
 * @param {string} reason close reason; may hold "retry_ms=N"
 * @param {number} attempt failures in a row, from 0
 * @param {() => number} random draws from [0, 1)
 * @returns {number|null} milliseconds to wait, or null for "do not come back"
 */
export function reconnectDelay(code, reason, attempt, random = Math.random) {
  const found = /retry_ms=(\d+)/.exec(reason || "");
  const statedMs = found ? Number(found[1]) : null;
  if (code >= 4400 && code <= 4499) return null;
  if (code >= 4200 && code <= 4399) {
    const waitMs = statedMs ?? BACKOFF_FIRST_MS * 4;
    return waitMs + random() * waitMs * 0.3;
  }
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  // The server has drawn this time for us alone, to spread the crowd.
  if (code >= 4000 && code <= 4199 && attempt === 0) return statedMs ?? random() * AT_ONCE_MS;
  return ceiling / 4 + random() * ceiling * 0.75;
}

/**
 * @param {string} room room id
 * @param {string} token JWT of a viewer or of staff
 * @param {string|null} since "epoch:offset" of the last frame seen
 * @returns {string} the hub's address on this page's origin
 */
export function hubAddress(room, token, since) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const query = new URLSearchParams({ token });
  if (since) query.set("since", since);
  return `${scheme}//${location.host}/ws/${encodeURIComponent(room)}?${query}`;
}

/**
 * A key for an idempotent command: 128 random bits in hexadecimal.
 * @returns {string}
 */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The connection to a room. */
export class SiyuHub {
  /**
   * @param {{room: string, token: string, renew?: () => Promise<string>}} options
   *   `renew` gives a fresh token after close code 4401; it is asked once until a connection succeeds.
   */
  constructor({ room, token, renew }) {
    this.room = room;
    this.token = token;
    this.renew = renew;
    /** Milliseconds to add to Date.now() to get the server's time. */
    this.clockOffsetMs = 0;
    /** @type {"idle"|"connecting"|"open"|"waiting"|"closed"} */
    this.state = "idle";
    this.epoch = null;
    this.offset = 0;
    this.lastAck = 0;
    this.listeners = new Map();
    this.pending = new Map();
    this.nextId = 1;
    this.attempt = 0;
    this.renewed = false;
    this.likes = 0;
    this.socket = null;
    this.timers = { retry: 0, snapshot: 0, like: 0, ack: 0, stable: 0 };
    addEventListener("online", () => this.wake());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.wake());
  }

  /**
   * Listen to one event type ("room", "chat", "sale" …), to "*" for each event, or to "state" for the connection.
   * @param {string} type
   * @param {(event: any) => void} listener for "state": {state, code, reason, retryInMs}
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    if (!this.listeners.has(type)) this.listeners.set(type, new Set());
    this.listeners.get(type).add(listener);
    return () => this.listeners.get(type).delete(listener);
  }

  /**
   * The server's time now.
   * @returns {number} Unix milliseconds
   */
  now() {
    return Date.now() + this.clockOffsetMs;
  }

  /** Open the connection; it keeps itself open until `close`. */
  connect() {
    clearTimeout(this.timers.retry);
    if (this.socket) return;
    this.setState("connecting");
    const since = this.epoch === null ? null : `${this.epoch}:${this.offset}`;
    const socket = new WebSocket(hubAddress(this.room, this.token, since));
    this.socket = socket;
    this.timers.snapshot = setTimeout(() => this.lost(socket, 1006, "no snapshot in time"), SNAPSHOT_TIMEOUT_MS);
    socket.onmessage = (message) => socket === this.socket && this.receive(message.data);
    socket.onclose = (event) => this.lost(socket, event.code, event.reason);
  }

  /** Close for good; commands that wait are refused with `hub_closed`. */
  close() {
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close(1000);
    this.rejectPending("hub_closed", () => true);
    this.setState("closed", { code: 1000, reason: "" });
  }

  /**
   * Change to another token (a new name, a new role): the connection is opened anew and resumes.
   * @param {string} token
   */
  useToken(token) {
    this.token = token;
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.timers.snapshot);
    if (socket) socket.close(1000);
    this.connect();
  }

  /**
   * Send a command. One with a `key` is idempotent: it is sent again after a reconnect; others fail with `disconnected`.
   * @param {string} cmd such as "sale.hold"
   * @param {Record<string, unknown>} [fields]
   * @param {number} [timeoutMs]
   * @returns {Promise<any>} the fields of the answer; rejects with CommandError
   */
  command(cmd, fields = {}, timeoutMs = COMMAND_TIMEOUT_MS) {
    if (this.state === "closed") return Promise.reject(new CommandError("hub_closed", "the connection is closed"));
    if (this.pending.size >= PENDING_MAX) return Promise.reject(new CommandError("busy", "too many commands wait"));
    const id = this.nextId++;
    const frame = JSON.stringify({ ...fields, id, cmd });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new CommandError("timeout", "no answer in time"));
      }, timeoutMs);
      this.pending.set(id, { frame, resolve, reject, timer, again: "key" in fields });
      if (this.state === "open") this.socket.send(frame);
    });
  }

  /** Count one like; likes of a second go out as one command. */
  like() {
    this.likes = Math.min(this.likes + 1, LIKES_PER_COMMAND_MAX);
    if (this.timers.like) return;
    this.timers.like = setTimeout(() => {
      this.timers.like = 0;
      const n = this.likes;
      this.likes = 0;
      // A like that finds no connection is not worth a message to the person who tapped.
      if (this.state === "open") this.command("like", { n }).catch((error) => this.emit("like-refused", error));
    }, LIKE_MERGE_MS);
  }

  receive(data) {
    let events;
    try {
      events = JSON.parse(data);
    } catch (error) {
      this.emit("protocol-error", error);
      return;
    }
    for (const event of Array.isArray(events) ? events : [events]) {
      if ("re" in event) this.answer(event);
      else this.dispatch(event);
    }
  }

  answer(event) {
    const waiting = this.pending.get(event.re);
    if (!waiting) return;
    this.pending.delete(event.re);
    clearTimeout(waiting.timer);
    if (event.error) waiting.reject(new CommandError(event.error.code, event.error.message, event.error));
    else waiting.resolve(event);
  }

  dispatch(event) {
    if (event.t === "room") this.enter(event);
    // The node goes on without the others, or with them again: what is here stays good, offsets count under this name.
    if (event.t === "epoch") this.epoch = event.epoch;
    if (typeof event.o === "number") this.offset = Math.max(this.offset, event.o);
    if (typeof event.a === "number") {
      const seen = event.a <= this.lastAck;
      this.acknowledge(event.a);
      if (seen) return;
    }
    this.emit(event.t, event);
    this.emit("*", event);
  }

  enter(snapshot) {
    clearTimeout(this.timers.snapshot);
    if (this.epoch !== snapshot.epoch) this.lastAck = 0;
    this.epoch = snapshot.epoch;
    this.offset = snapshot.offset;
    this.clockOffsetMs = snapshot.now - Date.now();
    this.renewed = false;
    this.setState("open");
    this.timers.stable = setTimeout(() => (this.attempt = 0), STABLE_MS);
    for (const waiting of this.pending.values()) this.socket.send(waiting.frame);
  }

  acknowledge(sequence) {
    this.lastAck = Math.max(this.lastAck, sequence);
    if (this.timers.ack) return;
    this.timers.ack = setTimeout(() => {
      this.timers.ack = 0;
      // An ack that is lost costs only a repeat, which `dispatch` drops.
      if (this.state === "open")
        this.command("ack", { to: this.lastAck }).catch((error) => this.emit("ack-lost", error));
    }, ACK_DELAY_MS);
  }

  lost(socket, code, reason) {
    if (socket !== this.socket) return;
    this.socket = null;
    socket.onclose = null;
    socket.close();
    clearTimeout(this.timers.snapshot);
    clearTimeout(this.timers.stable);
    this.rejectPending("disconnected", (waiting) => !waiting.again);
    if (code === 4401 && this.renew && !this.renewed) {
      this.renewToken();
      return;
    }
    const delayMs = reconnectDelay(code, reason, this.attempt);
    if (delayMs === null) {
      this.rejectPending("hub_closed", () => true);
      this.setState("closed", { code, reason });
      return;
    }
    this.attempt += 1;
    this.setState("waiting", { code, reason, retryInMs: delayMs });
    this.timers.retry = setTimeout(() => this.connect(), delayMs);
  }

  async renewToken() {
    this.renewed = true;
    this.setState("waiting", { code: 4401, reason: "", retryInMs: 0 });
    try {
      this.token = await this.renew();
      this.connect();
    } catch (error) {
      this.rejectPending("hub_closed", () => true);
      this.setState("closed", { code: 4401, reason: String(error.message || error) });
    }
  }

  wake() {
    if (this.state !== "waiting" || this.renewed) return;
    this.connect();
  }

  rejectPending(code, which) {
    for (const [id, waiting] of this.pending) {
      if (!which(waiting)) continue;
      this.pending.delete(id);
      clearTimeout(waiting.timer);
      waiting.reject(new CommandError(code, "the connection was lost"));
    }
  }

  setState(state, detail = {}) {
    this.state = state;
    this.emit("state", { state, ...detail });
  }

  emit(type, event) {
    for (const listener of this.listeners.get(type) || []) listener(event);
  }
}

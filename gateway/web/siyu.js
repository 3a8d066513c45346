/**
 * Client of Siyu Live: the hub of one room, and the JSON API. It needs nothing but its own second file, runs in browsers
 * and in WeChat mini-programs; what differs between these is a `Platform`.
 *
 *     browser        new SiyuHub({ room, token }).connect()
 *     mini-program   const platform = wxPlatform(wx, "https://HOST");
 *                    const api = new Api(null, platform);
 *                    api.token = (await api.post("/auth/guest", { room, device })).token;
 *                    new SiyuHub({ room, token: api.token, platform }).connect();
 *
 * The hub (wire v1 of docs/hub.md: each frame of the server is an array) resumes by "epoch:offset", comes back as the
 * close code says, keeps the server's clock, acknowledges personal messages, sums likes and gives each command a
 * promise. It draws nothing: pages listen with `on`.
 */

import { browserPlatform, pollSocket } from "./siyu_platform.js";

export { Api, ApiError, browserPlatform, wxPlatform } from "./siyu_platform.js";

/** Milliseconds a command may wait for its answer, over reconnects and repeats too. */
const COMMAND_TIMEOUT_MS = 8000;
/** Milliseconds from opening a socket to the snapshot; a captive portal may swallow a WebSocket without an error. */
const SNAPSHOT_TIMEOUT_MS = 10000;
/** Milliseconds in which a socket that slept with its page has to show that it is alive. */
const PROBE_TIMEOUT_MS = 4000;
/** Backoff between attempts: full jitter under a doubling ceiling, so that a room does not come back in step. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 15000;
/** Spread of those who may come back at once (closes 4000–4199 without a stated time). */
const AT_ONCE_MS = 800;
/** So many sockets in a row that nobody answered: what lies between lets no WebSocket through, and the room is polled. */
const BLIND_MAX = 2;
/** Who polls looks after this, and then each time again, whether a WebSocket comes through: a server that was away for a
 * while looks just like a way that lets none through. */
const UPGRADE_MS = 4000;
const UPGRADE_AGAIN_MS = 300000;
/** A connection that lasted this long was good: the next failure starts the backoff anew. */
const STABLE_MS = 10000;
/** One that brought the room was not bad: where the network drops every few seconds, who comes back late misses the show. */
const ATTEMPTS_AFTER_ROOM = 1;
/** Likes are summed for this long and sent as one command. */
const LIKE_MERGE_MS = 1000;
/** Most likes in one command; tapping faster than this is noise. */
const LIKES_PER_COMMAND_MAX = 50;
/** Personal messages that come together are acknowledged together. */
const ACK_DELAY_MS = 150;
/** Commands without an answer at a time; above it the page is refused at once. */
const PENDING_MAX = 64;
/** Messages only ever come late, so the clock is the one that ran furthest ahead; a step back this large is a new clock. */
const CLOCK_STEP_MS = 2000;
/** A card waits for its moment in the picture (D10), but no longer than a stream can sensibly lag. */
const MEDIA_WAIT_MAX_MS = 4000;
/** The picture may stall or hurry while a card waits: look again this often. */
const MEDIA_LOOK_MS = 100;

/** After one of these nobody knows whether a command or request acted: try again with the same key. */
export const OUTCOME_UNKNOWN = new Set(["timeout", "network", "disconnected", "hub_closed", "busy"]);

/** @typedef {import("./siyu_platform.js").Platform} Platform */
/** @typedef {import("./siyu_platform.js").Socket} Socket */
/** @typedef {"idle"|"connecting"|"open"|"waiting"|"closed"} HubState */
/**
 * An event of the hub: its type in `t`, what else it has says docs/hub.md.
 * @typedef {{t: string, o?: number, a?: number, now?: number, [field: string]: any}} HubEvent
 */
/**
 * A command that waits for its answer.
 * @typedef {{frame: string, resolve: (answer: any) => void, reject: (error: CommandError) => void, endsMs: number,
 *   timer: Timer, repeat: Timer|undefined, again: boolean}} Pending
 */
/** @typedef {ReturnType<typeof setTimeout>} Timer */

/** A refusal by the hub, or a command that found no answer (`timeout`, `disconnected`, `hub_closed`). */
export class CommandError extends Error {
  /**
   * @param {string} code stable code, such as "sold_out"
   * @param {string} message English text of the server
   * @param {Record<string, any>} [extra] the other fields of the error, such as retry_ms or price
   */
  constructor(code, message, extra = {}) {
    super(message || code);
    this.name = "CommandError";
    this.code = code;
    this.extra = extra;
    this.retryMs = Number(extra.retry_ms) || 0;
  }
}

// — the hub —

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
  const backoffMs = ceiling / 4 + random() * ceiling * 0.75;
  if (code < 4000 || code > 4199) return backoffMs;
  // The server has drawn a stated time for us alone, to spread the crowd: never before it.
  if (attempt === 0) return statedMs ?? random() * AT_ONCE_MS;
  return Math.max(statedMs ?? 0, backoffMs);
}

/**
 * @param {string} origin the server's, http or https
 * @param {string} room room id
 * @param {string} token JWT of a viewer or of staff
 * @param {string|null} since "epoch:offset" of the last frame seen
 * @returns {string} the hub's address
 */
export function hubAddress(origin, room, token, since) {
  const query = `token=${encodeURIComponent(token)}${since ? `&since=${encodeURIComponent(since)}` : ""}`;
  return `${origin.replace(/^http/, "ws")}/ws/${encodeURIComponent(room)}?${query}`;
}

/**
 * A key for an idempotent command: 128 random bits in hexadecimal. It tells apart what one person asks for and guards
 * nothing, so a mini-program, which has no `crypto`, may draw it by `Math.random`.
 * @returns {string}
 */
export function newKey() {
  const bytes = Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  const { crypto } = /** @type {{crypto?: Crypto}} */ (globalThis);
  if (crypto) bytes.splice(0, bytes.length, ...crypto.getRandomValues(new Uint8Array(bytes.length)));
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The connection to a room. */
export class SiyuHub {
  /**
   * @param {{room: string, token: string, renew?: () => Promise<string>, platform?: Platform}} options
   *   `renew` gives a fresh token after close code 4401; it is asked once until a connection succeeds.
   */
  constructor({ room, token, renew, platform = browserPlatform() }) {
    this.room = room;
    this.token = token;
    this.renew = renew;
    this.platform = platform;
    /** Milliseconds to add to Date.now() to get the server's time. */
    this.clockOffsetMs = 0;
    /** @type {HubState} */
    this.state = "idle";
    /** @type {string|null} */
    this.epoch = null;
    this.offset = 0;
    this.lastAck = 0;
    /** @type {string|null} whose personal messages `lastAck` counts */
    this.person = null;
    /** @type {Map<string, Set<(event: any) => void>>} */
    this.listeners = new Map();
    /** @type {Map<number, Pending>} */
    this.pending = new Map();
    this.nextId = 1;
    this.attempt = 0;
    this.renewed = false;
    /** Sockets in a row that ended without a word of the server. */
    this.blind = 0;
    /** Whether the room is polled, for want of a WebSocket. */
    this.polled = false;
    this.likes = 0;
    /** @type {Socket|null} */
    this.socket = null;
    /** A WebSocket that is tried while the room is polled. @type {Socket|null} */
    this.candidate = null;
    /** @type {Record<"retry"|"snapshot"|"like"|"ack"|"stable"|"probe"|"upgrade", Timer|undefined>} */
    this.timers = {
      retry: undefined,
      snapshot: undefined,
      like: undefined,
      ack: undefined,
      stable: undefined,
      probe: undefined,
      upgrade: undefined,
    };
    /** @type {(() => void)|null} */
    this.sleep = null;
  }

  /**
   * Listen to one event type ("room", "chat", "sale" …), to "*" for each event, to "frame" for all of a frame at once
   * (an array: draw there, once), or to "state" for the connection.
   * @param {string} type
   * @param {(event: any) => void} listener for "state": {state, code, reason, retryInMs}
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    const listening = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, listening.add(listener));
    return () => void listening.delete(listener);
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
    this.sleep ??= this.platform.onWake(() => this.wake());
    this.setState("connecting");
    const since = () => (this.epoch === null ? null : `${this.epoch}:${this.offset}`);
    this.polled = this.blind >= BLIND_MAX;
    /** @type {Socket|undefined} */
    let socket;
    const events = {
      message: (/** @type {string} */ data) => socket === this.socket && this.receive(data),
      closed: (/** @type {number} */ code, /** @type {string} */ reason) => this.lost(socket, code, reason),
    };
    const { platform, room, token } = this;
    socket = this.polled
      ? pollSocket(platform, { room, token, client: newKey(), since }, events)
      : platform.open(hubAddress(platform.origin, room, token, since()), events);
    this.socket = socket;
    this.timers.snapshot = setTimeout(() => this.lost(socket, 1006, "no snapshot in time"), SNAPSHOT_TIMEOUT_MS);
  }

  /** Close for good; commands that wait are refused with `hub_closed`. `connect` begins again. */
  close() {
    for (const timer of Object.values(this.timers)) clearTimeout(timer);
    this.sleep?.();
    this.sleep = null;
    const socket = this.socket;
    this.socket = null;
    this.dropCandidate();
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
    this.dropCandidate();
    if (socket) socket.close(1000);
    this.connect();
  }

  /**
   * Send a command. One with a `key` is safe to repeat: it is sent again after a reconnect, and after `rate` or `busy`
   * when the server says when; others fail with `disconnected`, or with what the server answered.
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
      const endsMs = Date.now() + timeoutMs;
      this.pending.set(id, { frame, resolve, reject, endsMs, timer, repeat: undefined, again: "key" in fields });
      this.send(frame);
    });
  }

  /** Count one like; likes of a second go out as one command. */
  like() {
    this.likes = Math.min(this.likes + 1, LIKES_PER_COMMAND_MAX);
    if (this.timers.like) return;
    this.timers.like = setTimeout(() => {
      this.timers.like = undefined;
      const n = this.likes;
      this.likes = 0;
      // A like that finds no connection is not worth a message to the person who tapped.
      if (this.state === "open") this.command("like", { n }).catch((error) => this.emit("like-refused", error));
    }, LIKE_MERGE_MS);
  }

  // What follows is the hub's own.

  /** @param {string} frame */
  send(frame) {
    if (this.state === "open") this.socket?.send(frame);
  }

  /** @param {string} data */
  receive(data) {
    /** @type {any} */
    let items;
    try {
      items = JSON.parse(data);
    } catch (error) {
      this.emit("protocol-error", error);
      return;
    }
    clearTimeout(this.timers.probe);
    const events = [];
    for (const item of Array.isArray(items) ? items : [items]) {
      if ("re" in item) this.answer(item);
      else if (this.dispatch(item)) events.push(item);
    }
    if (events.length) this.emit("frame", events);
  }

  /** @param {any} item */
  answer(item) {
    const waiting = this.pending.get(item.re);
    if (!waiting) return;
    const { error } = item;
    // The server has not run these, and takes the same id again.
    const patient = waiting.again && (error?.code === "rate" || error?.code === "busy") && error.retry_ms > 0;
    if (patient && Date.now() + error.retry_ms < waiting.endsMs) {
      clearTimeout(waiting.repeat);
      waiting.repeat = setTimeout(() => this.send(waiting.frame), error.retry_ms);
      return;
    }
    this.forget(item.re, waiting);
    if (error) waiting.reject(new CommandError(error.code, error.message, error));
    else waiting.resolve(item);
  }

  /**
   * @param {HubEvent} event
   * @returns {boolean} whether it was news
   */
  dispatch(event) {
    if (event.t === "room") this.enter(event);
    // The node goes on without the others, or with them again: what is here stays good, offsets count under this name.
    if (event.t === "epoch") this.epoch = event.epoch;
    if (typeof event.o === "number") {
      // Only where two connections overlap for a moment.
      if (event.o <= this.offset) return false;
      this.offset = event.o;
    }
    if (typeof event.now === "number") this.clockOffsetMs = Math.max(this.clockOffsetMs, event.now - Date.now());
    if (typeof event.a === "number") {
      const seen = event.a <= this.lastAck;
      this.acknowledge(event.a);
      if (seen) return false;
    }
    this.emit(event.t, event);
    this.emit("*", event);
    return true;
  }

  /** @param {HubEvent} snapshot */
  enter(snapshot) {
    clearTimeout(this.timers.snapshot);
    // Sequences are a person's own and outlast every epoch.
    if (this.person !== snapshot.you?.person) this.lastAck = 0;
    this.person = snapshot.you?.person ?? null;
    const news = (/** @type {HubEvent} */ event) => !(Number(event.o) <= this.offset);
    if (snapshot.resumed) snapshot.history = snapshot.history.filter(news);
    this.offset = snapshot.resumed ? Math.max(this.offset, snapshot.offset) : snapshot.offset;
    this.epoch = snapshot.epoch;
    const offsetMs = (snapshot.now ?? Date.now()) - Date.now();
    if (Math.abs(offsetMs - this.clockOffsetMs) > CLOCK_STEP_MS || this.state !== "open") this.clockOffsetMs = offsetMs;
    this.renewed = false;
    this.attempt = Math.min(this.attempt, ATTEMPTS_AFTER_ROOM);
    if (!this.polled) this.blind = 0;
    else if (!this.timers.upgrade) this.upgradeIn(UPGRADE_MS * (0.5 + Math.random()));
    this.setState("open");
    clearTimeout(this.timers.stable);
    this.timers.stable = setTimeout(() => (this.attempt = 0), STABLE_MS);
    for (const waiting of this.pending.values()) this.send(waiting.frame);
  }

  /** @param {number} sequence */
  acknowledge(sequence) {
    this.lastAck = Math.max(this.lastAck, sequence);
    if (this.timers.ack) return;
    this.timers.ack = setTimeout(() => {
      this.timers.ack = undefined;
      // An ack that is lost costs only a repeat, which `dispatch` drops.
      if (this.state === "open")
        this.command("ack", { to: this.lastAck }).catch((error) => this.emit("ack-lost", error));
    }, ACK_DELAY_MS);
  }

  /**
   * @param {Socket|null|undefined} socket
   * @param {number} code
   * @param {string} reason
   */
  lost(socket, code, reason) {
    if (!socket || socket !== this.socket) return;
    this.socket = null;
    socket.close(1000);
    clearTimeout(this.timers.snapshot);
    clearTimeout(this.timers.stable);
    clearTimeout(this.timers.probe);
    this.dropCandidate();
    this.rejectPending("disconnected", (waiting) => !waiting.again);
    if (code === 4401 && this.renew && !this.renewed) {
      this.renewToken(this.renew);
      return;
    }
    // After polling a WebSocket is tried, once; a close frame comes by nothing else.
    if (this.polled) this.blind = BLIND_MAX - 1;
    else this.blind = code < 4000 && this.state === "connecting" ? this.blind + 1 : 0;
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

  /** @param {() => Promise<string>} renew */
  async renewToken(renew) {
    this.renewed = true;
    this.setState("waiting", { code: 4401, reason: "", retryInMs: 0 });
    try {
      this.token = await renew();
      this.connect();
    } catch (error) {
      this.rejectPending("hub_closed", () => true);
      const reason = error instanceof Error ? error.message : String(error);
      this.setState("closed", { code: 4401, reason });
    }
  }

  /** @param {number} ms */
  upgradeIn(ms) {
    clearTimeout(this.timers.upgrade);
    this.timers.upgrade = setTimeout(() => this.upgrade(), ms);
  }

  /** Try a WebSocket beside the polling, and go on by it once it has brought the room. */
  upgrade() {
    const polling = this.socket;
    this.dropCandidate();
    if (!this.polled || this.state !== "open" || !polling) return;
    /** @type {Socket|undefined} */
    let socket;
    const events = {
      message: (/** @type {string} */ data) => {
        if (socket && socket === this.candidate) {
          // The answers to what was asked by polling come by polling.
          if (this.pending.size) {
            this.upgradeIn(UPGRADE_MS);
            socket.close(1000);
            return;
          }
          this.candidate = null;
          this.dropCandidate();
          polling.close(1000);
          this.socket = socket;
          this.polled = false;
        }
        if (socket === this.socket) this.receive(data);
      },
      closed: (/** @type {number} */ code, /** @type {string} */ reason) => this.lost(socket, code, reason),
    };
    const since = `${this.epoch}:${this.offset}`;
    socket = this.platform.open(hubAddress(this.platform.origin, this.room, this.token, since), events);
    this.candidate = socket;
    this.upgradeIn(UPGRADE_AGAIN_MS * (0.5 + Math.random()));
  }

  /** Let go of a WebSocket that was tried. */
  dropCandidate() {
    clearTimeout(this.timers.upgrade);
    this.timers.upgrade = undefined;
    this.candidate?.close(1000);
    this.candidate = null;
  }

  /** The network or the page is back: do not wait out a backoff, and find out whether the socket slept to death. */
  wake() {
    if (this.state === "waiting" && !this.renewed) this.connect();
    if (this.state !== "open") return;
    if (this.polled) {
      // Another network may let a WebSocket through.
      this.blind = BLIND_MAX - 1;
      this.useToken(this.token);
      return;
    }
    const socket = this.socket;
    clearTimeout(this.timers.probe);
    // Whatever comes clears it; an acknowledgement twice is an answer that costs nothing.
    this.timers.probe = setTimeout(() => this.lost(socket, 1006, "silent after sleep"), PROBE_TIMEOUT_MS);
    this.command("ack", { to: this.lastAck }).catch((error) => this.emit("ack-lost", error));
  }

  /**
   * @param {string} code
   * @param {(waiting: Pending) => boolean} which
   */
  rejectPending(code, which) {
    for (const [id, waiting] of this.pending) {
      clearTimeout(waiting.repeat);
      if (!which(waiting)) continue;
      this.forget(id, waiting);
      waiting.reject(new CommandError(code, "the connection was lost"));
    }
  }

  /**
   * @param {number} id
   * @param {Pending} waiting
   */
  forget(id, waiting) {
    this.pending.delete(id);
    clearTimeout(waiting.timer);
    clearTimeout(waiting.repeat);
  }

  /**
   * @param {HubState} state
   * @param {Record<string, unknown>} [detail]
   */
  setState(state, detail = {}) {
    this.state = state;
    this.emit("state", { state, ...detail });
  }

  /**
   * @param {string} type
   * @param {unknown} event
   */
  emit(type, event) {
    for (const listener of this.listeners.get(type) ?? []) {
      try {
        listener(event);
      } catch (error) {
        // One listener's mistake must not cost the others the rest of a frame.
        console.error(`a listener of "${type}" failed`, error);
      }
    }
  }
}

// — the media clock —

/**
 * Where the host is on the media clock now, for players that do not tell how far their picture is.
 * @param {{live?: boolean, media_ms?: number|null, now?: number}} stream the room's newest `stream`
 * @param {number} now the server's time (Unix ms)
 * @returns {number|null} milliseconds, null when nobody is live
 */
export function hostMediaMs(stream, now) {
  if (!stream.live || typeof stream.media_ms !== "number" || typeof stream.now !== "number") return null;
  return stream.media_ms + (now - stream.now);
}

/** Does things in order, each at the frame on which the host said it; no picture holds anything up for long. */
export class MediaSchedule {
  /** @param {() => number|null} shown how far the picture is on the media clock (ms), null when nobody knows */
  constructor(shown) {
    this.shown = shown;
    this.queue = Promise.resolve();
  }

  /**
   * @param {number|null|undefined} mediaMs `media_ms` of an event; without one it is done in its turn
   * @param {() => void} act
   */
  at(mediaMs, act) {
    const deadline = Date.now() + MEDIA_WAIT_MAX_MS;
    this.queue = this.queue.then(() => this.untilShown(mediaMs, deadline)).then(act);
    this.queue = this.queue.catch((error) => console.error("what was to be done at its frame failed", error));
  }

  /**
   * @param {number|null|undefined} mediaMs
   * @param {number} deadline Unix ms of this machine's clock
   */
  async untilShown(mediaMs, deadline) {
    for (;;) {
      const shown = this.shown();
      const lag = typeof mediaMs === "number" && shown !== null ? mediaMs - shown : 0;
      if (lag <= 0 || lag > MEDIA_WAIT_MAX_MS || Date.now() >= deadline) return;
      await new Promise((resolve) => setTimeout(resolve, Math.min(lag, MEDIA_LOOK_MS)));
    }
  }
}

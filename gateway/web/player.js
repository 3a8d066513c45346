/**
 * Live player: progressive fMP4 from one streaming fetch into a Media Source; where a browser has none (an iPhone's web
 * view before iOS 17.1), the browser's own HLS player.
 *
 * The presentation clock of the media is kept ("segments" mode), so that `mediaMs` can be compared with the media time
 * that a pin carries.
 */

/** Farther behind the live edge than this: jump. */
const JUMP_BEHIND_S = 3;
/** Slightly behind: play faster by a rate that the ear does not notice. */
const HURRY_BEHIND_S = 1.6;
const HURRY_RATE = 1.05;
/** So near the edge that the next late packet would freeze the picture: play slower until there is a reserve. */
const SLOW_BELOW_S = 0.35;
const SLOW_RATE = 0.96;
/** Distance kept from the edge after a jump: about two of the server's write windows (350 ms). */
const TARGET_BEHIND_S = 0.9;
/** Played media kept for the browser's decoder; more only costs memory. */
const KEEP_PLAYED_S = 8;
const TRIM_ABOVE_S = 20;
/** Bytes that may wait for the SourceBuffer; above it the tab was asleep and a fresh start is cheaper. */
const QUEUE_BYTES_MAX = 24 * 1024 * 1024;
/** No bytes for this long: the host is away (the server keeps the connection for a minute). */
const AWAY_MS = 2500;
/** No bytes for this long: the connection is dead. The server lingers 60 s for a host. */
const DEAD_MS = 75000;
const BACKOFF_FIRST_MS = 600;
const BACKOFF_MAX_MS = 8000;
const TICK_MS = 250;
/** A frame shown so long ago says nothing of now: the tab is hidden, or the picture stands. */
const FRAME_FRESH_MS = 500;
const HLS_TYPE = "application/vnd.apple.mpegurl";

/** @returns {any} the browser's Media Source class, Apple's managed one on an iPhone, or null */
export function mediaSourceClass() {
  return globalThis.MediaSource || globalThis.ManagedMediaSource || null;
}

/** Plays /live/ROOM.mp4 into a video element and keeps close to the live edge. */
export class LivePlayer {
  /**
   * @param {{video: HTMLVideoElement, room: string, token?: () => string|null,
   *   clock?: () => {media_ms?: number|null, now?: number}, preferHls?: boolean,
   *   onState?: (state: "connecting"|"playing"|"away"|"blocked"|"unsupported") => void}} options
   *   `token` is asked for only when the server wants one (--play-auth); `clock` gives the stream's media clock and the
   *   wall's of one moment, for HLS.
   */
  constructor({ video, room, token, clock, preferHls, onState }) {
    this.video = video;
    this.room = room;
    this.token = token || (() => null);
    this.clock = clock || (() => ({}));
    this.onState = onState || (() => {});
    this.state = "connecting";
    this.withToken = false;
    this.native = (preferHls || !mediaSourceClass()) && Boolean(video.canPlayType(HLS_TYPE));
    this.attempt = 0;
    this.running = false;
    this.abort = null;
    this.wakeUp = null;
    this.queue = [];
    this.queuedBytes = 0;
    this.buffer = null;
    this.lastBytesMs = 0;
    this.frame = null;
  }

  /** Play until `stop`; comes back by itself when the stream ends. */
  start() {
    if (this.running) return;
    if (!this.native && !mediaSourceClass()) {
      this.setState("unsupported");
      return;
    }
    this.running = true;
    if (this.native) {
      this.runNative();
      return;
    }
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.watchFrames();
    this.run();
  }

  stop() {
    this.running = false;
    clearInterval(this.ticker);
    this.abort?.abort();
    this.wakeUp?.();
  }

  /** The host is said to be live: do not wait for the backoff. */
  poke() {
    this.attempt = 0;
    if (!this.native || this.state !== "playing") this.wakeUp?.();
  }

  /** @returns {number|null} the media clock of the picture on the screen, milliseconds */
  mediaMs() {
    if (this.state !== "playing") return null;
    if (!this.native) return this.shownMs() ?? this.video.currentTime * 1000;
    // The browser's own HLS player counts from the playlist's start; EXT-X-PROGRAM-DATE-TIME gives it the wall's clock,
    // where it lets us ask (Safari), and the room's stream section maps that to the media clock.
    const { media_ms: mediaMs, now } = this.clock();
    const start = this.video.getStartDate?.().getTime();
    if (!Number.isFinite(start) || !Number.isFinite(mediaMs)) return null;
    return start + this.video.currentTime * 1000 - (now - mediaMs);
  }

  /**
   * The time of the frame that is really on the screen. The element's own clock is the sound's: on a busy phone the
   * picture is behind it by a few frames, and a card would come before the host's word.
   * @returns {number|null} milliseconds; null where the browser does not tell, or when no frame came lately
   */
  shownMs() {
    const { frame } = this;
    return frame && performance.now() - frame.at < FRAME_FRESH_MS ? frame.ms : null;
  }

  watchFrames() {
    if (!this.video.requestVideoFrameCallback) return;
    const note = (now, { mediaTime }) => {
      this.frame = { at: performance.now(), ms: mediaTime * 1000 };
      if (this.running) this.video.requestVideoFrameCallback(note);
    };
    this.video.requestVideoFrameCallback(note);
  }

  /** Call from a tap: sound needs a gesture. */
  async unmute() {
    this.video.muted = false;
    await this.play();
  }

  async run() {
    while (this.running) {
      try {
        await this.playOnce();
      } catch (error) {
        if (error.name === "NotSupportedError") {
          this.setState("unsupported");
          return;
        }
        if (this.running && error.name !== "AbortError") console.info("player:", error.message);
      }
      if (!this.running) return;
      this.setState("away");
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.attempt++);
      await this.sleep(ceiling / 2 + (Math.random() * ceiling) / 2);
    }
  }

  /** The browser plays by itself; all that is left is to come back when it gives up. */
  async runNative() {
    const { video } = this;
    video.addEventListener("playing", () => {
      this.attempt = 0;
      this.setState("playing");
    });
    while (this.running) {
      const probe = await fetch(this.address("/index.m3u8"), { cache: "no-store" }).catch(() => null);
      if (probe?.status === 401 || probe?.status === 403) this.withToken = true;
      if (probe?.ok) {
        video.src = this.address("/index.m3u8");
        this.play();
        await new Promise((resolve) => {
          this.wakeUp = resolve;
          video.addEventListener("error", resolve, { once: true });
          video.addEventListener("ended", resolve, { once: true });
        });
      }
      if (!this.running) return;
      this.setState("away");
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.attempt++);
      await this.sleep(ceiling / 2 + (Math.random() * ceiling) / 2);
    }
  }

  sleep(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wakeUp = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  address(file = ".mp4") {
    const token = this.withToken ? this.token() : null;
    const query = token ? `?${new URLSearchParams({ token })}` : "";
    return `/live/${encodeURIComponent(this.room)}${file}${query}`;
  }

  async playOnce() {
    this.abort = new AbortController();
    const response = await fetch(this.address(), { signal: this.abort.signal, cache: "no-store" });
    if (response.status === 401 || response.status === 403) this.withToken = true;
    if (!response.ok) throw new Error(`stream answered ${response.status}`);
    const type = response.headers.get("Content-Type") || "video/mp4";
    if (!mediaSourceClass().isTypeSupported(type)) {
      this.abort.abort();
      throw new DOMException(type, "NotSupportedError");
    }
    await this.attach(type);
    const reader = response.body.getReader();
    this.lastBytesMs = performance.now();
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.lastBytesMs = performance.now();
        this.enqueue(value);
      }
    } finally {
      // Leaving early (a decoder error) must also end the download.
      this.abort.abort();
    }
  }

  async attach(type) {
    const Source = mediaSourceClass();
    const source = new Source();
    this.queue = [];
    this.queuedBytes = 0;
    this.buffer = null;
    this.placed = false;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(source);
    // A ManagedMediaSource opens only where remote playback is off (Apple's rule).
    this.video.disableRemotePlayback = true;
    this.video.src = this.url;
    await new Promise((resolve, reject) => {
      source.addEventListener("sourceopen", resolve, { once: true });
      this.abort.signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    });
    this.buffer = source.addSourceBuffer(type);
    this.buffer.addEventListener("updateend", () => this.feed());
    this.buffer.addEventListener("error", () => this.abort.abort());
  }

  enqueue(bytes) {
    this.queue.push(bytes);
    this.queuedBytes += bytes.byteLength;
    if (this.queuedBytes > QUEUE_BYTES_MAX) throw new Error("the decoder does not keep up");
    this.feed();
  }

  feed() {
    const buffer = this.buffer;
    if (!buffer || buffer.updating) return;
    if (!this.placed && buffer.buffered.length) this.place();
    if (!this.queue.length) {
      this.trim();
      return;
    }
    const chunk = this.queue.length > 1 ? joined(this.queue, this.queuedBytes) : this.queue[0];
    this.queue = [];
    this.queuedBytes = 0;
    try {
      buffer.appendBuffer(chunk);
    } catch (error) {
      if (error.name !== "QuotaExceededError") {
        this.abort.abort();
        return;
      }
      this.queue = [chunk];
      this.queuedBytes = chunk.byteLength;
      this.trim(1);
    }
  }

  place() {
    const { buffered } = this.buffer;
    const last = buffered.length - 1;
    this.video.currentTime = Math.max(buffered.start(last), buffered.end(last) - TARGET_BEHIND_S);
    this.placed = true;
    this.attempt = 0;
    this.play();
  }

  async play() {
    try {
      await this.video.play();
      this.setState("playing");
    } catch (error) {
      // NotAllowedError: the browser wants a tap even for muted video (low-power mode).
      if (error.name === "NotAllowedError") this.setState("blocked");
    }
  }

  trim(keepS = KEEP_PLAYED_S) {
    const { buffered } = this.buffer;
    const start = buffered.length ? buffered.start(0) : 0;
    const until = this.video.currentTime - keepS;
    if (this.placed && until > start && (keepS < KEEP_PLAYED_S || this.video.currentTime - start > TRIM_ABOVE_S)) {
      this.buffer.remove(start, until);
    }
  }

  tick() {
    if (!this.placed || !this.buffer) return;
    const silentMs = performance.now() - this.lastBytesMs;
    if (silentMs > DEAD_MS) this.abort.abort();
    if (this.video.error) {
      this.abort.abort();
      return;
    }
    if (this.state === "blocked") return;
    this.follow();
    const starving = this.video.readyState < 3;
    if (silentMs > AWAY_MS && starving) this.setState("away");
    else if (!starving && !this.video.paused) this.setState("playing");
    else if (this.video.paused && document.visibilityState === "visible") this.play();
  }

  follow() {
    const { video } = this;
    const { buffered } = video;
    if (!buffered.length) return;
    const last = buffered.length - 1;
    const behind = buffered.end(last) - video.currentTime;
    const beforeGap = video.currentTime < buffered.start(last) && video.readyState < 3;
    if (behind > JUMP_BEHIND_S || beforeGap) {
      video.currentTime = Math.max(buffered.start(last), buffered.end(last) - TARGET_BEHIND_S);
      video.playbackRate = 1;
    } else if (behind > HURRY_BEHIND_S) {
      video.playbackRate = HURRY_RATE;
    } else if (behind < SLOW_BELOW_S) {
      video.playbackRate = SLOW_RATE;
    } else if (video.playbackRate > 1 ? behind < TARGET_BEHIND_S : behind > TARGET_BEHIND_S * 0.8) {
      video.playbackRate = 1;
    }
  }

  setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}

function joined(chunks, bytes) {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/**
 * Plays a recorded show: an HLS VOD playlist of fMP4 byte ranges into a Media Source, with the browser's own controls.
 *
 * The pieces are laid end to end ("sequence" mode), so the time that the host was away in between is not waited for; where
 * somebody seeks to, the piece of that moment is fetched next. Where a browser has no Media Source (an iPhone's web view
 * before iOS 17.1), its own HLS player plays the same address.
 */

import { mediaSourceClass } from "./player.js";

/** Fetched ahead of the picture: enough for a bad minute of a phone's line, and no show is loaded for nothing. */
const AHEAD_S = 30;
/** Played media kept: a step back needs no request. */
const BEHIND_S = 30;
const TICK_MS = 300;
const TRY_AGAIN_MS = 2000;
const FETCH_MS = 20000;
/** Between two pieces of a run lies less than a frame; a hole in what is buffered up to here is jumped over. */
const HOLE_S = 0.5;
const PLAYLIST_BYTES_MAX = 4 * 1024 * 1024;

/**
 * @typedef {{uri: string, from: number, bytes: number, start: number, length: number, map: string}} Piece
 *   `from` and `bytes` are the range in the file, `start` and `length` seconds of the replay.
 */

/**
 * @param {string} text a media playlist (RFC 8216)
 * @param {string} base its own address
 * @returns {{pieces: Piece[], seconds: number, ended: boolean}}
 */
export function parsePlaylist(text, base) {
  const pieces = [];
  let [map, length, range, next, start] = ["", 0, null, 0, 0];
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-MAP:")) map = new URL(line.match(/URI="([^"]+)"/)[1], base).href;
    else if (line.startsWith("#EXTINF:")) length = Number.parseFloat(line.slice(8));
    else if (line.startsWith("#EXT-X-BYTERANGE:")) range = line.slice(17).split("@").map(Number);
    else if (line && !line.startsWith("#")) {
      // Without an offset a range follows the one before (RFC 8216 section 4.3.2.2).
      const [bytes, from = next] = range || [];
      pieces.push({ uri: new URL(line, base).href, from, bytes, start, length, map });
      start += length;
      next = from + bytes;
      range = null;
    }
  }
  return { pieces, seconds: start, ended: text.includes("#EXT-X-ENDLIST") };
}

/** Plays one show into a video element, from its making until `stop`. */
export class ReplayPlayer {
  /**
   * @param {{video: HTMLVideoElement, url: string, onError?: (error: Error) => void}} options `url` is
   *   the playlist's, its query included
   */
  constructor({ video, url, onError }) {
    this.video = video;
    this.url = url;
    this.onError = onError || (() => {});
    this.stopped = new AbortController();
    this.map = "";
    this.at = 0;
    this.busy = false;
  }

  async start() {
    const { video } = this;
    if (!mediaSourceClass()) {
      video.src = this.url;
      return;
    }
    try {
      const { pieces, seconds } = parsePlaylist(await this.text(this.url), new URL(this.url, location.href).href);
      if (!pieces.length) throw new Error("the show is empty");
      this.pieces = pieces;
      await this.attach(seconds);
    } catch (error) {
      if (!this.stopped.signal.aborted) this.onError(error);
      return;
    }
    video.addEventListener("seeking", () => this.seek(), { signal: this.stopped.signal });
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.tick();
    video.play().catch((error) => console.info("replay:", error.message));
  }

  stop() {
    this.stopped.abort();
    clearInterval(this.ticker);
    this.video.removeAttribute("src");
    this.video.load();
    if (this.blob) URL.revokeObjectURL(this.blob);
  }

  async attach(seconds) {
    const Source = mediaSourceClass();
    this.source = new Source();
    this.blob = URL.createObjectURL(this.source);
    this.video.disableRemotePlayback = true;
    this.video.src = this.blob;
    const { signal } = this.stopped;
    await new Promise((resolve, reject) => {
      this.source.addEventListener("sourceopen", resolve, { once: true });
      signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")), { once: true });
    });
    // The init segment says what it holds; the type must be told before it is appended.
    const init = await this.fetch(this.pieces[0].map);
    const type = `video/mp4; codecs="${codecsOf(new Uint8Array(init))}"`;
    if (!Source.isTypeSupported(type)) throw new DOMException(type, "NotSupportedError");
    this.buffer = this.source.addSourceBuffer(type);
    this.buffer.mode = "sequence";
    this.source.duration = seconds;
  }

  async text(url) {
    const bytes = await this.fetch(url);
    if (bytes.byteLength > PLAYLIST_BYTES_MAX) throw new Error("the playlist is too long");
    return new TextDecoder().decode(bytes);
  }

  async fetch(url, range = null) {
    const headers = range ? { Range: `bytes=${range[0]}-${range[1]}` } : {};
    const limit = new AbortController();
    const end = () => limit.abort();
    const timer = setTimeout(end, FETCH_MS);
    this.stopped.signal.addEventListener("abort", end, { once: true });
    try {
      const answer = await fetch(url, { headers, signal: limit.signal });
      if (!answer.ok) throw Object.assign(new Error(`the replay answered ${answer.status}`), { status: answer.status });
      return await answer.arrayBuffer();
    } finally {
      clearTimeout(timer);
      this.stopped.signal.removeEventListener("abort", end);
    }
  }

  /** How far what lies around the picture reaches; null when nothing lies there. */
  reach() {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + HOLE_S && currentTime < buffered.end(i)) return buffered.end(i);
    }
    return null;
  }

  /** Somebody moved: go on with the piece of that moment, unless it is there. */
  seek() {
    if (this.reach() !== null) return;
    this.jump = true;
    this.tick();
  }

  async tick() {
    const { signal } = this.stopped;
    if (this.busy || signal.aborted || this.video.error) return;
    const reach = this.reach();
    this.overHole(reach);
    if (!this.jump && (this.at >= this.pieces.length || (reach ?? 0) > this.video.currentTime + AHEAD_S)) return;
    this.busy = true;
    try {
      if (this.jump) await this.begin();
      if (this.at < this.pieces.length) await this.append(this.pieces[this.at]);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403 || error.status === 404) {
        this.stop();
        this.onError(error);
        return;
      }
      console.info("replay:", error.message);
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
    } finally {
      this.busy = false;
    }
    if (!signal.aborted) this.tick();
  }

  /** A frame that is missing between two runs must not stop the picture. */
  overHole(reach) {
    const { video } = this;
    if (reach !== null || video.seeking || !video.buffered.length) return;
    for (let i = 0; i < video.buffered.length; i += 1) {
      const start = video.buffered.start(i);
      if (start > video.currentTime && start - video.currentTime < HOLE_S) video.currentTime = start + 0.01;
    }
  }

  /** Empty the buffer and begin anew at the piece of the moment that was asked for. */
  async begin() {
    this.jump = false;
    const { buffer, pieces } = this;
    const wanted = Math.max(0, pieces.findLastIndex((piece) => piece.start <= this.video.currentTime));
    buffer.abort();
    if (buffer.buffered.length) await this.change(() => buffer.remove(0, Infinity));
    buffer.timestampOffset = pieces[wanted].start;
    this.at = wanted;
  }

  async append(piece) {
    if (piece.map !== this.map) {
      const init = await this.fetch(piece.map);
      await this.change(() => this.buffer.appendBuffer(init));
      this.map = piece.map;
    }
    const media = await this.fetch(piece.uri, [piece.from, piece.from + piece.bytes - 1]);
    // While it came, somebody may have moved elsewhere.
    if (this.jump) return;
    await this.trim();
    await this.change(() => this.buffer.appendBuffer(media));
    this.at += 1;
    if (this.at === this.pieces.length && this.source.readyState === "open") this.source.endOfStream();
  }

  async trim() {
    const { buffered } = this.buffer;
    const until = this.video.currentTime - BEHIND_S;
    if (buffered.length && buffered.start(0) < until - BEHIND_S) await this.change(() => this.buffer.remove(0, until));
  }

  change(act) {
    return new Promise((resolve, reject) => {
      this.buffer.addEventListener("updateend", resolve, { once: true });
      this.buffer.addEventListener("error", () => reject(new Error("the media cannot be decoded")), { once: true });
      act();
    });
  }
}

/**
 * @param {Uint8Array} init an init segment
 * @returns {string} its codecs (RFC 6381), read from its sample entries: the records' profile, level and what follows
 */
function codecsOf(init) {
  const found = [];
  const avc = find(init, "avcC");
  if (avc >= 0) found.push(`avc1.${[...init.slice(avc + 5, avc + 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`);
  if (find(init, "mp4a") >= 0) found.push("mp4a.40.2");
  if (find(init, "Opus") >= 0) found.push("opus");
  const hevc = find(init, "hvcC");
  if (hevc >= 0) found.push(hevcOf(init.slice(hevc + 4, hevc + 17)));
  const av1 = find(init, "av1C");
  if (av1 >= 0) found.push(av1Of(init.slice(av1 + 4, av1 + 8)));
  return found.join(", ");
}

/** @param {Uint8Array} record the beginning of an hvcC (ISO/IEC 14496-15 annex E.3) */
function hevcOf(record) {
  const space = ["", "A", "B", "C"][record[1] >> 6];
  let flags = 0;
  for (let bit = 0; bit < 32; bit += 1) flags = flags * 2 + ((record[5 - (bit >> 3)] >> (bit & 7)) & 1);
  const constraints = [...record.slice(6, 12)];
  while (constraints.length && !constraints[constraints.length - 1]) constraints.pop();
  const hex = (number) => number.toString(16).toUpperCase();
  return [
    `hvc1.${space}${record[1] & 31}`,
    hex(flags),
    `${record[1] & 32 ? "H" : "L"}${record[12]}`,
    ...constraints.map(hex),
  ].join(".");
}

/** @param {Uint8Array} record an av1C (AV1 codec ISO media file format binding, section 5) */
function av1Of(record) {
  const two = (number) => String(number).padStart(2, "0");
  const depth = record[2] & 64 ? (record[2] & 32 ? 12 : 10) : 8;
  return `av01.${record[1] >> 5}.${two(record[1] & 31)}${record[2] & 128 ? "H" : "M"}.${two(depth)}`;
}

function find(bytes, name) {
  const [a, b, c, d] = [...name].map((letter) => letter.charCodeAt(0));
  for (let at = 0; at + 4 <= bytes.length; at += 1) {
    if (bytes[at] === a && bytes[at + 1] === b && bytes[at + 2] === c && bytes[at + 3] === d) return at;
  }
  return -1;
}

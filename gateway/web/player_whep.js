/**
 * Live player by WebRTC (WHEP): the least delay there is. Behind `?player=whep`.
 *
 * What WebRTC cannot carry (B-frames, another codec: 422), a UDP path that is closed, or a browser without H.264 makes it
 * an ordinary `LivePlayer` for good: the person watches, only later.
 */

import { LivePlayer } from "./player.js";

const TICK_MS = 250;
/** The picture stands for this long: the host is away. */
const STILL_MS = 2500;
/** No path for this long: it does not come back by itself, a new session is quicker. */
const DISCONNECTED_MS = 4000;
/** Sessions that never connected before it gives up on UDP. */
const FAILURES_MAX = 2;

/** What a frame callback told is of use for this long: none comes while nothing is drawn. */
const FRAME_MS = 500;
const VIDEO_TICKS_PER_MS = 90;
const WRAP_MS = 2 ** 32 / VIDEO_TICKS_PER_MS;

/** Plays /whep/ROOM into a video element. */
export class WhepPlayer extends LivePlayer {
  start() {
    if (this.running || !globalThis.RTCPeerConnection) {
      super.start();
      return;
    }
    this.whep = true;
    this.failures = 0;
    this.running = true;
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.run();
  }

  /**
   * The answer tells the RTP time at which the media clock was 0 (RFC 7273), the browser the RTP time of the picture on
   * the screen; as that wraps every 13 hours, what was shown before, or the room's clock, says which turn it is.
   */
  mediaMs() {
    if (!this.whep) return super.mediaMs();
    const rtp = this.state === "playing" && this.epoch !== null ? this.shownRtp() : null;
    if (rtp === null) return null;
    const ms = ((rtp - this.epoch) >>> 0) / VIDEO_TICKS_PER_MS;
    const near = this.nearMs ?? this.clock().media_ms;
    this.nearMs = Number.isFinite(near) ? ms + Math.round((near - ms) / WRAP_MS) * WRAP_MS : ms;
    return this.nearMs;
  }

  /** @returns {number|null} the RTP time of the picture on the screen */
  shownRtp() {
    const { frame } = this;
    if (frame && performance.now() - frame.atMs < FRAME_MS) return frame.rtp;
    // A browser whose frames do not say it, or a tab in the background.
    const source = this.receiver?.getSynchronizationSources?.()[0];
    return source?.rtpTimestamp ?? frame?.rtp ?? null;
  }

  /** Note each frame as it is shown. */
  watchFrames(connection) {
    const { video } = this;
    const look = (now, { rtpTimestamp }) => {
      if (connection.signalingState === "closed") return;
      if (Number.isFinite(rtpTimestamp)) this.frame = { rtp: rtpTimestamp, atMs: now };
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback?.(look);
  }

  async playOnce() {
    if (!this.whep) {
      await super.playOnce();
      return;
    }
    this.abort = new AbortController();
    const connection = new RTCPeerConnection();
    this.epoch = this.frame = this.receiver = this.nearMs = null;
    let session = null;
    let connected = false;
    try {
      const over = this.untilOver(connection, () => {
        connected = true;
        this.failures = 0;
      });
      session = await this.open(connection);
      if (session) await over;
      else this.whep = false;
    } finally {
      // A peer that is connected is told by its own way; a request as well would ask for what is over.
      const told = connection.connectionState === "connected";
      connection.close();
      this.video.srcObject = null;
      if (session && !told) fetch(session, { method: "DELETE", keepalive: true }).catch(() => null);
      if (session && !connected && this.running && ++this.failures >= FAILURES_MAX) this.whep = false;
      if (!this.whep) this.fallBack();
    }
  }

  /** @returns {Promise<string|null>} the session's address; null when this stream is not for WebRTC */
  async open(connection) {
    const stream = new MediaStream();
    connection.addEventListener("track", ({ track, receiver }) => {
      stream.addTrack(track);
      if (track.kind === "video") this.receiver = receiver;
      this.video.srcObject = stream;
      this.play();
    });
    for (const kind of ["video", "audio"]) connection.addTransceiver(kind, { direction: "recvonly" });
    await connection.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const token = this.withToken ? this.token() : null;
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(`/whep/${encodeURIComponent(this.room)}`, {
      method: "POST",
      headers,
      body: connection.localDescription.sdp,
      signal: this.abort.signal,
    });
    if (answer.status === 401 || answer.status === 403) this.withToken = true;
    if (answer.status === 422) return null;
    if (!answer.ok) throw new Error(`stream answered ${answer.status}`);
    const session = answer.headers.get("Location");
    const sdp = await answer.text();
    this.epoch = epochOf(sdp);
    await connection.setRemoteDescription({ type: "answer", sdp });
    this.watchFrames(connection);
    return session;
  }

  untilOver(connection, onConnected) {
    return new Promise((resolve) => {
      let timer = null;
      this.abort.signal.addEventListener("abort", resolve);
      connection.addEventListener("connectionstatechange", () => {
        clearTimeout(timer);
        const state = connection.connectionState;
        if (state === "connected") onConnected();
        else if (state === "disconnected") timer = setTimeout(resolve, DISCONNECTED_MS);
        else if (state === "failed" || state === "closed") resolve();
      });
    });
  }

  /** Be an ordinary player from now on. */
  fallBack() {
    if (!this.running) return;
    this.running = false;
    clearInterval(this.ticker);
    // After the loop that called us has seen that it is over.
    setTimeout(() => super.start());
  }

  tick() {
    if (!this.whep) {
      super.tick();
      return;
    }
    const { video } = this;
    const now = performance.now();
    if (video.currentTime !== this.shownS) {
      this.shownS = video.currentTime;
      this.shownMs = now;
    }
    if (this.state === "blocked" || !video.srcObject) return;
    if (now - this.shownMs > STILL_MS) this.setState("away");
    else if (!video.paused && video.readyState >= 2) {
      this.attempt = 0;
      this.setState("playing");
    }
    if (video.paused && document.visibilityState === "visible") this.play();
  }
}

/** @returns {number|null} the RTP time of the picture at media time 0, as an answer tells it */
function epochOf(sdp) {
  const section = sdp.split(/^m=/m).find((part) => part.startsWith("video "));
  const found = section?.match(/^a=mediaclk:direct=(\d+)/m);
  return found ? Number(found[1]) : null;
}

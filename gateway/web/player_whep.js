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

  /** RTP carries no room clock: cards show as their events arrive, which is when the picture does. */
  mediaMs() {
    return this.whep ? null : super.mediaMs();
  }

  async playOnce() {
    if (!this.whep) {
      await super.playOnce();
      return;
    }
    this.abort = new AbortController();
    const connection = new RTCPeerConnection();
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
      connection.close();
      this.video.srcObject = null;
      if (session) fetch(session, { method: "DELETE", keepalive: true }).catch(() => null);
      if (session && !connected && this.running && ++this.failures >= FAILURES_MAX) this.whep = false;
      if (!this.whep) this.fallBack();
    }
  }

  /** @returns {Promise<string|null>} the session's address; null when this stream is not for WebRTC */
  async open(connection) {
    const stream = new MediaStream();
    connection.addEventListener("track", ({ track }) => {
      stream.addTrack(track);
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
    await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
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

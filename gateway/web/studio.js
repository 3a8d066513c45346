/** Broadcast from a phone's or laptop's browser: preview, devices, level, WHIP (RFC 9725). */

import { $, h, put, toast } from "./dom.js";
import { HOST } from "./host_strings.js";
import { addStrings, explain, onLanguage, t, toggleLanguage, translatePage } from "./i18n.js";
import { mustSignIn, signIn, staffApi } from "./session.js";
import { STUDIO } from "./studio_strings.js";

const LEVEL_MS = 100;
const AGAIN_FIRST_MS = 800;
const AGAIN_MAX_MS = 8000;
/** A path may be gone for a moment when a phone changes networks; after this it does not come back. */
const DISCONNECTED_MS = 3000;
/** A server that does not answer an offer for this long is as good as away. */
const ANSWER_MS = 10000;
/** A server that is away needs no farewell. */
const FAREWELL_MS = 2000;
const SENDING_MS = 2000;

addStrings(HOST);
addStrings(STUDIO);

const ROOM = decodeURIComponent(location.pathname.split("/")[2] || "");
const api = staffApi();
let media = null;
let connection = null;
let session = null;
let wanted = false;
let said = "studio.ready";
let attempt = 0;

async function open() {
  let why = null;
  for (;;) {
    if (!api.token) await signIn($("login"), api, why);
    try {
      await api.get(`/rooms/${encodeURIComponent(ROOM)}/streams`);
      break;
    } catch (error) {
      if (!mustSignIn(error) && error.status !== 403 && error.status !== 404) {
        toast(explain(error), "error");
        await pause(3000);
        continue;
      }
      why = error;
      api.token = null;
    }
  }
  const room = await api.get(`/rooms/${encodeURIComponent(ROOM)}`);
  $("room-title").textContent = room.room.title;
  $("console-link").href = `/host/${encodeURIComponent(ROOM)}`;
  $("studio").hidden = false;
  $("go").addEventListener("click", () => (wanted ? stop() : goLive()));
  $("language").addEventListener("click", toggleLanguage);
  for (const id of ["camera", "microphone"]) $(id).addEventListener("change", look);
  onLanguage(draw);
  draw();
  await look();
  setInterval(drawLevel, LEVEL_MS);
  setInterval(drawSending, SENDING_MS);
}

/** Take camera and microphone as chosen; while live the tracks are changed under the connection. */
async function look() {
  if (!navigator.mediaDevices) {
    say("studio.insecure");
    return;
  }
  const [camera, microphone] = [$("camera").value, $("microphone").value];
  // Phones give a camera to one taker at a time.
  for (const track of media?.getTracks() || []) track.stop();
  try {
    media = await navigator.mediaDevices.getUserMedia({
      video: {
        width: { ideal: 1280 },
        height: { ideal: 720 },
        frameRate: { ideal: 30 },
        ...(camera ? { deviceId: { exact: camera } } : { facingMode: "user" }),
      },
      audio: microphone ? { deviceId: { exact: microphone } } : true,
    });
  } catch (error) {
    console.info("studio:", error.message);
    say("studio.denied");
    return;
  }
  $("preview").srcObject = media;
  // A camera that is unplugged, or that another program takes: go on with what there is.
  for (const track of media.getTracks()) track.addEventListener("ended", lookAgain);
  listen();
  for (const sender of connection?.getSenders() || []) {
    const track = media.getTracks().find(({ kind }) => kind === sender.track?.kind);
    if (track) await sender.replaceTrack(track);
  }
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [id, kind] of [["camera", "videoinput"], ["microphone", "audioinput"]]) {
    const current = media.getTracks().find((track) => `${track.kind}input` === kind)?.getSettings().deviceId;
    put(
      $(id),
      devices
        .filter((device) => device.kind === kind)
        .map((device) => h("option", { value: device.deviceId, selected: device.deviceId === current }, device.label)),
    );
  }
  if (!wanted) say("studio.ready");
}

function lookAgain({ target }) {
  if (!media?.getTracks().includes(target)) return;
  $(target.kind === "video" ? "camera" : "microphone").value = "";
  look();
}

let analyser = null;
let sound = null;
let source = null;

function listen() {
  sound ||= new AudioContext();
  analyser ||= sound.createAnalyser();
  source?.disconnect();
  source = sound.createMediaStreamSource(media);
  source.connect(analyser);
}

function drawLevel() {
  if (!analyser) return;
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  $("level").value = Math.min(1, Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length) * 4);
}

let sent = null;

/** What leaves the device, as the browser counts it: a host sees a poor line before the viewers tell. */
async function drawSending() {
  const reports = connection ? [...(await connection.getStats()).values()] : [];
  const video = reports.find((report) => report.type === "outbound-rtp" && report.kind === "video");
  if (!video) {
    sent = null;
    $("sending").textContent = "";
    return;
  }
  const bytes = reports.reduce((sum, report) => sum + (report.type === "outbound-rtp" ? report.bytesSent : 0), 0);
  const seconds = sent && (video.timestamp - sent.at) / 1000;
  const pair = reports.find((report) => report.type === "candidate-pair" && report.nominated);
  if (seconds > 0) {
    $("sending").textContent = t("studio.sending", {
      size: `${video.frameWidth || "—"}×${video.frameHeight || "—"}`,
      fps: Math.round(video.framesPerSecond || 0),
      rate: (((bytes - sent.bytes) * 8) / seconds / 1e6).toFixed(1),
      rtt: Math.round((pair?.currentRoundTripTime || 0) * 1000),
    });
  }
  sent = { at: video.timestamp, bytes };
}

async function goLive() {
  if (!media) await look();
  if (!media) return;
  wanted = true;
  // A phone that sleeps ends the broadcast.
  navigator.wakeLock?.request("screen").catch(() => null);
  sound?.resume();
  attempt = 0;
  say("studio.connecting");
  while (wanted) {
    let why = "studio.again";
    try {
      await broadcast();
    } catch (error) {
      if (!wanted) break;
      if ([401, 403, 404, 422].includes(error.status)) {
        wanted = false;
        toast(error.message, "error");
        say("studio.ready");
        return;
      }
      if (error.status === 409) why = "studio.taken";
      console.info("studio:", error.message);
    }
    if (!wanted) break;
    say(why);
    await pause(Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** attempt++));
  }
}

/** One WHIP session, until it is over. */
async function broadcast() {
  connection = new RTCPeerConnection();
  try {
    for (const track of media.getTracks()) connection.addTransceiver(track, { direction: "sendonly", streams: [media] });
    const over = untilOver();
    await connection.setLocalDescription();
    const answer = await fetch(`/whip/${encodeURIComponent(ROOM)}`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${api.token}` },
      body: connection.localDescription.sdp,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(problem.detail || `the server answered ${answer.status}`), { status: answer.status });
    }
    session = answer.headers.get("Location");
    await connection.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    await over;
  } finally {
    // The farewell first (RFC 9725 section 4.2): a connection that just closes takes the session with it.
    if (session) await farewell(session);
    session = null;
    connection.close();
    connection = null;
  }
}

async function farewell(address) {
  const signal = AbortSignal.timeout(FAREWELL_MS);
  await fetch(address, { method: "DELETE", keepalive: true, signal }).catch(() => null);
}

function untilOver() {
  return new Promise((resolve) => {
    let timer = null;
    const watched = connection;
    watched.addEventListener("connectionstatechange", () => {
      clearTimeout(timer);
      const state = watched.connectionState;
      if (state === "connected") {
        attempt = 0;
        say("studio.on");
      } else if (state === "disconnected") timer = setTimeout(resolve, DISCONNECTED_MS);
      else if (state === "failed" || state === "closed") resolve();
    });
    watched.addEventListener("siyu-stop", resolve);
  });
}

function stop() {
  wanted = false;
  connection?.dispatchEvent(new Event("siyu-stop"));
  say("studio.ready");
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function say(key) {
  said = key;
  draw();
}

function draw() {
  translatePage();
  const live = said === "studio.on";
  $("said").textContent = t(said);
  $("go").textContent = t(wanted ? "studio.stop" : "studio.go");
  $("live").textContent = t(live ? "host.live" : "host.off");
  $("live").dataset.live = String(live);
}

addEventListener("pagehide", () => {
  if (session) farewell(session);
});

open();

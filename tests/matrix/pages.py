"""Scripts for pages: the film from canvas and oscillator, and a watch over what a video element plays."""

from __future__ import annotations

from tests.matrix.flashes import BURST_S, TONE_HZ, WINDOW_S
from tests.matrix.material import FRAME_RATE, SIZE

FILM = f"""
window.makeFilm = () => {{
  const sound = new AudioContext({{ sampleRate: 48000 }});
  const out = sound.createMediaStreamDestination();
  const tone = new OscillatorNode(sound, {{ frequency: {TONE_HZ} }});
  const gain = new GainNode(sound, {{ gain: 0 }});
  tone.connect(gain).connect(out);
  tone.start();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [{SIZE[0]}, {SIZE[1]}];
  const pen = canvas.getContext("2d");
  let planned = 1;
  let count = 0;
  setInterval(() => {{
    const now = sound.currentTime;
    for (; planned < now + 2; planned += 1) {{
      if (planned <= now) continue;
      gain.gain.setValueAtTime(0.5, planned);
      gain.gain.setValueAtTime(0, planned + {BURST_S});
    }}
    pen.fillStyle = now % 1 < {BURST_S} ? "#fff" : "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    // A canvas gives a frame only when something changed.
    pen.fillStyle = `rgb(${{(count += 16) % 256}}, 90, 90)`;
    pen.fillRect(0, 0, 4, 4);
  }}, 1000 / {FRAME_RATE});
  window.film = new MediaStream([...canvas.captureStream({FRAME_RATE}).getTracks(), ...out.stream.getTracks()]);
  return window.film;
}};
"""
"""`makeFilm()`: a MediaStream of it, kept as `window.film`."""

CAMERA = """
navigator.mediaDevices.getUserMedia = async () => window.film || window.makeFilm();
navigator.mediaDevices.enumerateDevices = async () => [];
"""
"""The film as the device's only camera and microphone."""

REFERENCE = """
window.offerReference = async () => {
  const connection = (window.reference = new RTCPeerConnection());
  for (const track of window.film.getTracks()) {
    connection.addTransceiver(track, { direction: "sendonly", streams: [window.film] });
  }
  await connection.setLocalDescription();
  if (connection.iceGatheringState !== "complete") {
    await new Promise((resolve) => {
      connection.addEventListener("icegatheringstatechange", () => {
        if (connection.iceGatheringState === "complete") resolve();
      });
    });
  }
  return connection.localDescription.sdp;
};
"""
"""`offerReference()`: a second connection with the same tracks, for whoever wants to know what the browser sends."""

WATCH = f"""
window.seen = {{ pictures: [], sounds: [], backward: [] }};
window.watchVideo = async (video) => {{
  const small = document.createElement("canvas");
  [small.width, small.height] = [16, 9];
  const pen = small.getContext("2d", {{ willReadFrequently: true }});
  let newest = null;
  const look = (now, frame) => {{
    pen.drawImage(video, 0, 0, 16, 9);
    const pixels = pen.getImageData(0, 0, 16, 9).data;
    let sum = 0;
    for (let at = 0; at < pixels.length; at += 4) sum += pixels[at];
    window.seen.pictures.push([frame.expectedDisplayTime / 1000, sum / (pixels.length / 4)]);
    const stamp = frame.rtpTimestamp ?? frame.mediaTime;
    if (newest !== null && stamp < newest) window.seen.backward.push(`${{stamp}} after ${{newest}}`);
    newest = stamp;
    video.requestVideoFrameCallback(look);
  }};
  video.requestVideoFrameCallback(look);
  const sound = new AudioContext();
  const worklet = `registerProcessor("windows", class extends AudioWorkletProcessor {{
    constructor() {{ super(); this.width = Math.round(sampleRate * {WINDOW_S}); this.held = []; this.out = []; }}
    process(inputs) {{
      const input = inputs[0][0];
      if (!input) return true;
      for (let at = 0; at < input.length; at += 1) {{
        this.held.push(input[at]);
        if (this.held.length < this.width) continue;
        let power = 0;
        let changes = 0;
        this.held.forEach((one, i) => {{
          power += one * one;
          if (i && (one < 0) !== (this.held[i - 1] < 0)) changes += 1;
        }});
        const start = currentTime + (at + 1 - this.width) / sampleRate;
        this.out.push([start, Math.sqrt((2 * power) / this.width), changes]);
        this.held = [];
      }}
      if (this.out.length >= 40) {{ this.port.postMessage(this.out); this.out = []; }}
      return true;
    }}
  }});`;
  await sound.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], {{ type: "text/javascript" }})));
  const node = new AudioWorkletNode(sound, "windows");
  node.port.onmessage = ({{ data }}) => {{
    const {{ contextTime, performanceTime }} = sound.getOutputTimestamp();
    const shift = performanceTime / 1000 - contextTime;
    for (const [start, loudness, changes] of data) window.seen.sounds.push([start + shift, loudness, changes]);
  }};
  sound.createMediaStreamSource(video.srcObject).connect(node);
}};
window.takeSeen = () => {{
  const taken = window.seen;
  window.seen = {{ pictures: [], sounds: [], backward: [] }};
  return taken;
}};
"""
"""`watchVideo(element)` begins to note in wall-clock seconds, `takeSeen()` gives what came since the last call."""

LOOPBACK = """
window.playLoopback = async (video) => {
  const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
  const film = window.makeFilm();
  const heard = new MediaStream();
  here.onicecandidate = ({ candidate }) => candidate && there.addIceCandidate(candidate);
  there.onicecandidate = ({ candidate }) => candidate && here.addIceCandidate(candidate);
  there.ontrack = ({ track }) => {
    heard.addTrack(track);
    video.srcObject = heard;
    video.play();
  };
  for (const track of film.getTracks()) here.addTransceiver(track, { direction: "sendonly", streams: [film] });
  await here.setLocalDescription();
  await there.setRemoteDescription(here.localDescription);
  await there.setLocalDescription();
  await here.setRemoteDescription(there.localDescription);
  window.lagMs = async () => {
    const at = {};
    for (const report of (await there.getStats()).values()) {
      if (report.type === "inbound-rtp") at[report.kind] = report.estimatedPlayoutTimestamp;
    }
    return at.video - at.audio;
  };
};
"""
"""`playLoopback(element)`: the film from the page to itself; `lagMs()`: how far its sound is behind, as it says."""

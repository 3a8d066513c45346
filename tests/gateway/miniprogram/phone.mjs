/**
 * A phone for the mini-program: `wx`, `App` and `Page` as WeChat gives them, over real sockets and requests.
 *
 *     node phone.mjs FOLDER        FOLDER: the unpacked sample
 *
 * Standard input takes one JSON object a line and each is answered by one on standard output:
 *
 *     {"id": 1, "call": "onSend", "args": […]}    → {"id": 1, "result": …} or {"id": 1, "error": "…"}
 *     {"id": 2, "data": true}                     → what the page shows
 *     {"id": 3, "network": "off" | "on" | "deaf"} → off: sockets and requests fail; deaf: what the server says is lost
 *
 * What a mini-program has not (fetch, WebSocket, document, crypto …) is taken away before its modules are loaded; URL and
 * AbortController stay, as Node's own sockets need them.
 */

import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { WebSocket, fetch, AbortSignal } = globalThis;
const ABSENT = "WebSocket fetch crypto document location navigator URLSearchParams AbortSignal";
for (const name of ABSENT.split(" ")) delete globalThis[name];
for (const name of ["Request", "Response", "Headers", "EventSource", "localStorage"]) delete globalThis[name];

/** WeChat refuses more at once. */
const SET_DATA_BYTES_MAX = 1024 * 1024;
const SOCKETS_MAX = 5;

const storage = new Map();
const toasts = [];
const sockets = new Set();
const awake = new Set();
const networkListeners = new Set();
let network = "on";

class SocketTask {
  constructor(url) {
    this.listeners = { open: [], message: [], close: [], error: [] };
    this.dead = network === "off";
    if (this.dead) {
      setTimeout(() => this.tell("error", { errMsg: "connectSocket:fail no network" }), 5);
      return;
    }
    sockets.add(this);
    this.socket = new WebSocket(url);
    this.socket.onopen = () => this.dead || this.tell("open", {});
    this.socket.onmessage = (event) => this.dead || network === "deaf" || this.tell("message", { data: event.data });
    this.socket.onclose = (event) => this.end(event.code, event.reason);
  }

  onOpen(listener) {
    this.listeners.open.push(listener);
  }

  onMessage(listener) {
    this.listeners.message.push(listener);
  }

  onClose(listener) {
    this.listeners.close.push(listener);
  }

  onError(listener) {
    this.listeners.error.push(listener);
  }

  send({ data, success, fail }) {
    if (this.dead || this.socket.readyState !== WebSocket.OPEN) {
      fail?.({ errMsg: "sendSocketMessage:fail" });
      return;
    }
    this.socket.send(data);
    success?.({ errMsg: "sendSocketMessage:ok" });
  }

  close({ code = 1000, reason = "", fail } = {}) {
    // Only these may be given (Closes of the WebSocket API).
    if (code !== 1000 && (code < 3000 || code > 4999)) throw new Error(`close code ${code}`);
    if (this.dead) fail?.({ errMsg: "closeSocket:fail" });
    else this.socket.close(code, reason);
  }

  /** The way to the server is gone, without a close frame that anybody reads. */
  cut() {
    this.end(1006, "");
    this.socket.close();
  }

  end(code, reason) {
    if (this.dead) return;
    this.dead = true;
    sockets.delete(this);
    this.tell("close", { code, reason });
  }

  tell(kind, event) {
    for (const listener of this.listeners[kind]) listener(event);
  }
}

globalThis.wx = {
  connectSocket({ url, fail }) {
    if (sockets.size >= SOCKETS_MAX) {
      setTimeout(() => fail?.({ errMsg: "connectSocket:fail too many sockets" }), 0);
    }
    return new SocketTask(url);
  },
  request({ url, method = "GET", header = {}, data, timeout, dataType = "json", success, fail }) {
    if (network === "off") {
      setTimeout(() => fail?.({ errMsg: "request:fail no network" }), 5);
      return;
    }
    fetch(url, { method, headers: header, body: data, signal: AbortSignal.timeout(timeout) })
      .then(async (answer) => {
        const text = await answer.text();
        success?.({ statusCode: answer.status, data: dataType === "json" ? JSON.parse(text) : text });
      })
      .catch((error) => fail?.({ errMsg: `request:fail ${error.name === "TimeoutError" ? "timeout" : error.message}` }));
  },
  getStorageSync: (key) => storage.get(key) ?? "",
  setStorageSync: (key, value) => void storage.set(key, value),
  getAppBaseInfo: () => ({ language: "zh_CN" }),
  setKeepScreenOn: () => undefined,
  showToast: ({ title }) => void toasts.push(title),
  // Its bearer taps the button that agrees. The real one refuses a longer text on it.
  showModal({ title, confirmText = "确定", success }) {
    if (confirmText.length > 4) throw new Error("showModal:fail confirmText length should not larger than 4");
    toasts.push(title);
    setTimeout(() => success?.({ confirm: true, cancel: false }), 0);
  },
  onAppShow: (listener) => void awake.add(listener),
  offAppShow: (listener) => void awake.delete(listener),
  onNetworkStatusChange: (listener) => void networkListeners.add(listener),
  offNetworkStatusChange: (listener) => void networkListeners.delete(listener),
};

function setData(changes) {
  const text = JSON.stringify(changes, (key, value) => {
    if (value === undefined) throw new Error(`setData: ${key} is undefined`);
    return value;
  });
  if (text.length > SET_DATA_BYTES_MAX) throw new Error(`setData: ${text.length} bytes`);
  for (const [path, value] of Object.entries(JSON.parse(text))) {
    const names = path.split(".");
    const last = names.pop();
    let place = this.data;
    for (const name of names) place = place[name] ??= {};
    place[last] = value;
  }
}

let page = null;
globalThis.App = () => undefined;
globalThis.Page = (options) => {
  const { data, ...members } = options;
  page = { ...members, data: structuredClone(data), setData };
};

function turn(wanted) {
  network = wanted;
  if (wanted === "off") for (const socket of [...sockets]) socket.cut();
  if (wanted === "on") for (const listener of awake) listener({ scene: 1001 });
  const state = { isConnected: wanted !== "off", networkType: wanted === "off" ? "none" : "wifi" };
  for (const listener of networkListeners) listener(state);
}

async function obey(order) {
  if (order.data) return { ...page.data, toasts, sockets: sockets.size, person: page.show?.hub.person };
  if (order.network) return turn(order.network);
  const result = await page[order.call](...(order.args ?? []));
  return result === page ? null : result;
}

const folder = process.argv[2];
await import(pathToFileURL(join(folder, "app.js")));
await import(pathToFileURL(join(folder, "pages/room/room.js")));
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  obey(order)
    .then((result) => ({ id: order.id, result: result ?? null }))
    .catch((error) => ({ id: order.id, error: String(error.stack ?? error) }))
    .then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
process.exit(0);

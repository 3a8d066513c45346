/**
 * A phone for the mini-program: `wx`, `App` and `Page` as WeChat gives them, over real sockets and requests.
 *
 *     node phone.mjs FOLDER        FOLDER: the unpacked sample
 *
 * Standard input takes one JSON object a line and each is answered by one on standard output:
 *
 *     {"id": 1, "open": "shop/orders/orders", "query": {…}} → the page is on top: its onLoad and onShow are done
 *     {"id": 2, "call": "onSend", "args": […]}              → {"id": 2, "result": …} or {"id": 2, "error": "…"}
 *     {"id": 3, "data": true}                               → what the page on top shows
 *     {"id": 4, "network": "off" | "on" | "deaf" | "plain"}  → off: sockets and requests fail; deaf: what the server says is lost;
 *                                                               plain: sockets fail, requests do not
 *     {"id": 5, "bearer": {…}}                              → how its bearer answers WeChat's sheets: see `bearer`
 *
 * What a mini-program has not (fetch, WebSocket, document, crypto …) is taken away before its modules are loaded; URL and
 * AbortController stay, as Node's own sockets need them.
 */

import { createInterface } from "node:readline";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { WebSocket, fetch, AbortSignal } = globalThis;
const ABSENT = "WebSocket fetch crypto document location navigator URLSearchParams AbortSignal";
for (const name of ABSENT.split(" ")) delete globalThis[name];
for (const name of ["Request", "Response", "Headers", "EventSource", "localStorage"]) delete globalThis[name];

/** WeChat refuses more at once. */
const SET_DATA_BYTES_MAX = 1024 * 1024;
const SOCKETS_MAX = 5;
/** Pages on top of one another; the next `navigateTo` fails. */
const STACK_MAX = 10;
/** Templates of one requestSubscribeMessage. */
const TEMPLATES_MAX = 3;

const storage = new Map();
const toasts = [];
const sockets = new Set();
const awake = new Set();
const networkListeners = new Set();
let network = "on";
/** How the phone's bearer answers: what they write, whether they agree, where they are, how they pay, what they grant. */
const bearer = {
  confirm: true,
  content: "",
  privacy: true,
  address: null,
  place: null,
  pictures: null,
  logins: [],
  pays: true,
  grants: [],
  wallet: [],
  clipboard: "",
  choice: "",
};
let privacyAgreed = false;
const later = (what) => void setTimeout(what, 0);

/** What asks for personal data is refused by WeChat until the bearer agreed to the privacy guideline. */
function personal(name, value, { success, fail }) {
  if (!privacyAgreed) later(() => fail?.({ errMsg: `${name}:fail privacy permission is not authorized`, errno: 104 }));
  else if (value === null) later(() => fail?.({ errMsg: `${name}:fail cancel` }));
  else later(() => success?.({ ...value, errMsg: `${name}:ok` }));
}

class SocketTask {
  constructor(url) {
    this.listeners = { open: [], message: [], close: [], error: [] };
    this.dead = network === "off" || network === "plain";
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
  // The real one refuses a longer text on its button.
  showModal({ title, confirmText = "确定", editable = false, success }) {
    if (confirmText.length > 4) throw new Error("showModal:fail confirmText length should not larger than 4");
    toasts.push(title);
    const { confirm, content } = bearer;
    later(() => success?.({ confirm, cancel: !confirm, ...(editable && confirm && { content }) }));
  },
  // The real one takes six at most.
  showActionSheet({ itemList, success, fail }) {
    if (!itemList.length || itemList.length > 6) throw new Error("showActionSheet:fail parameter error: itemList");
    const tapIndex = itemList.indexOf(bearer.choice);
    if (tapIndex < 0) later(() => fail?.({ errMsg: "showActionSheet:fail cancel" }));
    else later(() => success?.({ tapIndex, errMsg: "showActionSheet:ok" }));
  },
  clearStorageSync: () => storage.clear(),
  setNavigationBarTitle: ({ title }) => void (top().title = title),
  stopPullDownRefresh: () => undefined,
  setClipboardData: ({ data }) => void (bearer.clipboard = data),
  openPrivacyContract: ({ success }) => later(() => success?.({ errMsg: "openPrivacyContract:ok" })),
  login: ({ success, fail }) =>
    network === "off" ? later(() => fail?.({ errMsg: "login:fail" })) : later(() => success?.({ code: bearer.logins.shift() ?? "unknown" })),
  requirePrivacyAuthorize({ success, fail }) {
    privacyAgreed ||= bearer.privacy;
    if (privacyAgreed) later(() => success?.({ errMsg: "requirePrivacyAuthorize:ok" }));
    else later(() => fail?.({ errMsg: "requirePrivacyAuthorize:fail:user disagree" }));
  },
  chooseAddress: (callbacks) => personal("chooseAddress", bearer.address, callbacks),
  chooseLocation: (callbacks) => personal("chooseLocation", bearer.place, callbacks),
  chooseMedia({ count, mediaType, success, fail }) {
    if (String(mediaType) !== "image") throw new Error("chooseMedia: pictures are what is asked for");
    const tempFiles = bearer.pictures?.slice(0, count).map((path) => ({ tempFilePath: path, size: statSync(path).size }));
    personal("chooseMedia", tempFiles ? { tempFiles, type: "image" } : null, { success, fail });
  },
  compressImage: ({ src, success }) => later(() => success?.({ tempFilePath: src, errMsg: "compressImage:ok" })),
  getFileSystemManager: () => ({
    readFile({ filePath, success }) {
      const read = readFileSync(filePath);
      later(() => success?.({ data: read.buffer.slice(read.byteOffset, read.byteOffset + read.length) }));
    },
  }),
  requestSubscribeMessage({ tmplIds, success, fail }) {
    if (!tmplIds.length || tmplIds.length > TEMPLATES_MAX) {
      later(() => fail?.({ errMsg: "requestSubscribeMessage:fail TmplIds length", errCode: 20003 }));
      return;
    }
    const answer = Object.fromEntries(tmplIds.map((id) => [id, bearer.grants.includes(id) ? "accept" : "reject"]));
    later(() => success?.({ ...answer, errMsg: "requestSubscribeMessage:ok" }));
  },
  requestPayment({ success, fail, ...fields }) {
    for (const name of ["timeStamp", "nonceStr", "package", "signType", "paySign"])
      if (typeof fields[name] !== "string" || !fields[name]) throw new Error(`parameter error: ${name}`);
    bearer.wallet.push(fields);
    if (bearer.pays) later(() => success?.({ errMsg: "requestPayment:ok" }));
    else later(() => fail?.({ errMsg: "requestPayment:fail cancel" }));
  },
  navigateTo({ url, fail }) {
    if (stack.length >= STACK_MAX) later(() => fail?.({ errMsg: "navigateTo:fail webview count limit exceed" }));
    else openPage(url);
  },
  redirectTo({ url }) {
    stack.pop().onUnload?.();
    openPage(url);
  },
  navigateBack() {
    if (stack.length < 2) return;
    stack.pop().onUnload?.();
    top().onShow?.();
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

/** Pages by their path, as they were registered. */
const registered = new Map();
let registering = "";
/** What lies on the screen, the page that is seen last. */
const stack = [];
const top = () => stack.at(-1);

globalThis.App = () => undefined;
globalThis.Page = (options) => void registered.set(registering, options);

/** A page of its own, as WeChat makes one: its own data, everything else as it was registered. */
function openPage(url) {
  const [path, query = ""] = url.replace(/^[/]/, "").split("?");
  if (!registered.has(path)) throw new Error(`navigateTo:fail page "${path}" is not found`);
  const { data, ...members } = registered.get(path);
  stack.at(-1)?.onHide?.();
  const page = { ...members, route: path, title: "", data: structuredClone(data ?? {}), setData };
  stack.push(page);
  const pairs = query.split("&").filter(Boolean).map((pair) => pair.split("=").map(decodeURIComponent));
  page.loading = page.onLoad?.(Object.fromEntries(pairs));
  page.onShow?.();
  return page.loading;
}

function turn(wanted) {
  network = wanted;
  if (wanted === "off" || wanted === "plain") for (const socket of [...sockets]) socket.cut();
  if (wanted === "on") for (const listener of awake) listener({ scene: 1001 });
  const state = { isConnected: wanted !== "off", networkType: wanted === "off" ? "none" : "wifi" };
  for (const listener of networkListeners) listener(state);
}

async function obey(order) {
  const page = top();
  if (order.open) {
    const pairs = Object.entries(order.query ?? {}).map((pair) => pair.map(encodeURIComponent).join("="));
    await openPage(`${order.open}?${pairs.join("&")}`);
    return null;
  }
  if (order.data) {
    await page.loading;
    const { route, title } = page;
    const person = stack[0].show?.hub.person;
    const { wallet, clipboard } = bearer;
    return { ...page.data, route, title, toasts, sockets: sockets.size, person, wallet, clipboard };
  }
  if (order.bearer) return void Object.assign(bearer, order.bearer);
  if (order.network) return turn(order.network);
  if (order.back) return wx.navigateBack();
  // What a page's own tests may need to act on behalf of the same person.
  if (order.call === "token") return (page.visit ?? page.show.visit).api.token;
  if (order.call === "spoil") return void (page.visit.api.token = "lapsed");
  const result = await page[order.call](...(order.args ?? []));
  return stack.includes(result) ? null : result;
}

const folder = process.argv[2];
await import(pathToFileURL(join(folder, "app.js")));
const { pages, subPackages = [] } = JSON.parse(readFileSync(join(folder, "app.json"), "utf8"));
for (const path of [...pages, ...subPackages.flatMap(({ root, pages: own }) => own.map((one) => `${root}/${one}`))]) {
  registering = path;
  await import(pathToFileURL(join(folder, `${path}.js`)));
}
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  obey(order)
    .then((result) => ({ id: order.id, result: result ?? null }))
    .catch((error) => ({ id: order.id, error: String(error.stack ?? error) }))
    .then((answer) => process.stdout.write(`${JSON.stringify(answer)}\n`));
}
process.exit(0);

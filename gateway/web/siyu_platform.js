/**
 * What siyu.js stands on: a browser or a WeChat mini-program (sockets, requests, waking up), and the JSON API over it.
 */

/** A request over HTTP is given up after this. */
const REQUEST_TIMEOUT_MS = 10000;
/** A question to the room may be answered 25 s later; what then has not come is lost on its way. */
const POLL_TIMEOUT_MS = 35000;
/** A question or a command whose answer was lost is asked so often, the same way: the server answers it once. */
const POLL_TRIES = 4;
const POLL_AGAIN_MS = 500;
/** What stands for the hub's close codes where a room cannot be polled; otherwise it is full or stops. */
const POLL_REFUSED = /** @type {Record<number, number>} */ ({ 401: 4401, 403: 4403, 404: 4404 });
const POLL_LATER = 4229;
/** A file on its way from a phone in a tunnel: as long as the server waits for it. */
const FILE_TIMEOUT_MS = 60000;

/**
 * A socket that is open or opening.
 * @typedef {{send: (text: string) => void, close: (code: number) => void}} Socket
 */
/**
 * What a socket tells, `closed` once at most.
 * @typedef {{message: (text: string) => void, closed: (code: number, reason: string) => void}} SocketEvents
 */
/**
 * One request over HTTP; `url` is absolute.
 * @typedef {{method: string, url: string, headers: Record<string, string>, body?: string|ArrayBuffer, timeoutMs: number}} Request
 */
/**
 * What differs between a browser and a mini-program. `origin` is the server's, such as "https://HOST"; `request`
 * rejects with an Error named "TimeoutError" when nothing came in time; `onWake` calls back when the network is there
 * again or the page is seen again, and returns what stops that.
 * @typedef {{
 *   origin: string,
 *   open: (url: string, events: SocketEvents) => Socket,
 *   request: (request: Request) => Promise<{status: number, text: string}>,
 *   onWake: (listener: () => void) => (() => void),
 * }} Platform
 */
/** A refusal by the API (`code` of the problem document), or `network` / `timeout` when no answer came. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 without an answer
   * @param {string} code
   * @param {string} message
   * @param {Record<string, any>} [extra] the whole problem document
   */
  constructor(status, code, message, extra = {}) {
    super(message || code);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.extra = extra;
    this.retryMs = Number(extra.retry_ms) || 0;
  }
}

// — platforms —

/**
 * A page in a browser.
 * @param {string} [origin] the server's; the page's own when not given
 * @returns {Platform}
 */
export function browserPlatform(origin = globalThis.location?.origin ?? "") {
  return {
    origin,
    open(url, events) {
      const socket = new WebSocket(url);
      socket.onmessage = (message) => events.message(message.data);
      socket.onclose = (event) => events.closed(event.code, event.reason);
      return {
        send: (text) => socket.send(text),
        close: (code) => {
          socket.onmessage = socket.onclose = null;
          socket.close(code);
        },
      };
    },
    async request({ method, url, headers, body, timeoutMs }) {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(url, { method, headers, body, signal, cache: "no-store" });
      return { status: response.status, text: await response.text() };
    },
    onWake(listener) {
      const seen = () => document.visibilityState === "visible" && listener();
      addEventListener("online", listener);
      document.addEventListener("visibilitychange", seen);
      return () => {
        removeEventListener("online", listener);
        document.removeEventListener("visibilitychange", seen);
      };
    },
  };
}

/**
 * A WeChat mini-program, by `wx.connectSocket` and `wx.request`.
 * @param {any} wx the mini-program's own global
 * @param {string} origin the server's: an address under 服务器域名, such as "https://HOST"
 * @returns {Platform}
 */
export function wxPlatform(wx, origin) {
  return {
    origin,
    open(url, events) {
      let over = false;
      /** @param {number} code @param {string} reason */
      const end = (code, reason) => {
        if (over) return;
        over = true;
        events.closed(code, reason);
      };
      // Phones differ in what they call of `fail`, onError and onClose when a connection cannot be made: the first counts.
      const task = wx.connectSocket({ url, fail: (/** @type {any} */ error) => end(1006, error?.errMsg || "") });
      task.onMessage((/** @type {{data: string}} */ message) => over || events.message(message.data));
      task.onError((/** @type {any} */ error) => end(1006, error?.errMsg || ""));
      task.onClose((/** @type {any} */ event) => end(event?.code || 1006, event?.reason || ""));
      return {
        // A socket that is gone says so by onClose; what was to be sent is sent again, or refused, after that.
        send: (text) => task.send({ data: text, fail: () => undefined }),
        close: (code) => {
          over = true;
          task.close({ code, fail: () => undefined });
        },
      };
    },
    request({ method, url, headers, body, timeoutMs }) {
      return new Promise((resolve, reject) => {
        wx.request({
          url,
          method,
          header: headers,
          data: body,
          timeout: timeoutMs,
          // Anything but "json" leaves the text as it came; the API reads it in one way for all platforms.
          dataType: "其他",
          success: (/** @type {any} */ answer) => resolve({ status: answer.statusCode, text: String(answer.data ?? "") }),
          fail: (/** @type {any} */ failure) => {
            const error = new Error(failure?.errMsg || "request:fail");
            if (/timeout/i.test(error.message)) error.name = "TimeoutError";
            reject(error);
          },
        });
      });
    },
    onWake(listener) {
      const network = (/** @type {{isConnected: boolean}} */ state) => state.isConnected && listener();
      wx.onAppShow(listener);
      wx.onNetworkStatusChange(network);
      return () => {
        wx.offAppShow(listener);
        wx.offNetworkStatusChange(network);
      };
    },
  };
}

// — without a WebSocket —

/**
 * A room by plain requests, in the shape of a socket: for networks that let no WebSocket through.
 * @param {Platform} platform
 * @param {{room: string, token: string, client: string, since: () => string|null}} entry `client`: another for each
 *   connection, as ids of commands are told apart within it; `since`: what was seen last, also while it is open
 * @param {SocketEvents} events
 * @returns {Socket}
 */
export function pollSocket(platform, { room, token, client, since }, events) {
  let over = false;
  /** @param {number} code @param {string} reason */
  const end = (code, reason) => {
    if (over) return;
    over = true;
    events.closed(code, reason);
  };
  const base = { room: encodeURIComponent(room), token: encodeURIComponent(token), client: encodeURIComponent(client) };
  /** @param {Request} request @returns {Promise<{status: number, body: any}>} */
  const answered = async (request) => {
    for (let tries = 1; ; tries += 1) {
      try {
        const { status, text } = await platform.request(request);
        const body = parse(text);
        // Half an answer, or a proxy's own page, is none.
        if (body) return { status, body };
      } catch (error) {
        if (tries >= POLL_TRIES || over) throw error;
      }
      if (tries >= POLL_TRIES) throw new Error("no answer");
      await sleep(POLL_AGAIN_MS * tries);
    }
  };
  const ask = async () => {
    let session = "";
    let n = 0;
    while (!over) {
      const seen = since();
      const from = `${session && `&poll=${session}&n=${n}`}${seen ? `&since=${encodeURIComponent(seen)}` : ""}`;
      const url = `${platform.origin}/poll/${base.room}?token=${base.token}${from}`;
      const { status, body } = await answered({ method: "GET", url, headers: {}, timeoutMs: POLL_TIMEOUT_MS });
      if (status !== 200) {
        end(POLL_REFUSED[status] ?? POLL_LATER, `${body.detail || status}${body.retry_ms ? `, retry_ms=${body.retry_ms}` : ""}`);
        return;
      }
      session = body.poll;
      n = body.n;
      if (body.items.length && !over) events.message(JSON.stringify(body.items));
      if (body.close) end(body.close.code, body.close.reason);
    }
  };
  /** @param {string} text */
  const send = async (text) => {
    const url = `${platform.origin}/api/v1/rooms/${base.room}/commands?client=${base.client}`;
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const { status, body } = await answered({ method: "POST", url, headers, body: text, timeoutMs: REQUEST_TIMEOUT_MS });
    const { code = `http_${status}`, detail: message = "", retry_ms } = body;
    // What is refused as a whole is refused one by one, so that whoever waits hears why, and when to ask again.
    const refused = () => [JSON.parse(text)].flat().map(({ id }) => ({ re: id, error: { code, message, retry_ms } }));
    if (!over) events.message(JSON.stringify(status === 200 ? body : refused()));
  };
  /** @param {unknown} error */
  const lost = (error) => end(1006, error instanceof Error ? error.message : String(error));
  ask().catch(lost);
  return { send: (text) => void send(text).catch(lost), close: () => void (over = true) };
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// — the API —

/** A caller of /api/v1 with the token of one person: RFC 9457 problem details become errors. */
export class Api {
  /**
   * @param {string|null} [token]
   * @param {Platform} [platform]
   */
  constructor(token = null, platform = browserPlatform()) {
    this.token = token;
    this.platform = platform;
  }

  /**
   * @param {string} path below /api/v1, beginning with "/"
   * @returns {Promise<any>} the JSON answer
   */
  get(path) {
    return this.request("GET", path);
  }

  /**
   * @param {string} path
   * @param {unknown} [body]
   * @param {string} [key] Idempotency-Key
   * @returns {Promise<any>}
   */
  post(path, body = {}, key = undefined) {
    return this.request("POST", path, body, key);
  }

  /**
   * Send a file as it is.
   * @param {string} path
   * @param {ArrayBuffer} data
   * @returns {Promise<any>}
   */
  send(path, data) {
    return this.call("POST", path, { "Content-Type": "application/octet-stream" }, data, FILE_TIMEOUT_MS);
  }

  /**
   * @param {string} path
   * @returns {Promise<any>}
   */
  delete(path) {
    return this.request("DELETE", path);
  }

  /**
   * Call and read the answer; rejects with ApiError.
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {string} [key]
   * @returns {Promise<any>}
   */
  request(method, path, body, key) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    return this.call(method, path, headers, body === undefined ? undefined : JSON.stringify(body), REQUEST_TIMEOUT_MS);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Record<string, string>} headers
   * @param {string|ArrayBuffer|undefined} body
   * @param {number} timeoutMs
   * @returns {Promise<any>}
   */
  async call(method, path, headers, body, timeoutMs) {
    headers.Accept = "application/json";
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    const url = `${this.platform.origin}/api/v1${path}`;
    let response;
    try {
      response = await this.platform.request({ method, url, headers, body, timeoutMs });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      throw new ApiError(0, error.name === "TimeoutError" ? "timeout" : "network", error.message);
    }
    const answer = parse(response.text);
    if (response.status >= 200 && response.status < 300) return answer;
    const problem = answer || {};
    const code = problem.code || `http_${response.status}`;
    throw new ApiError(response.status, code, problem.detail || problem.title || "", problem);
  }
}

/**
 * @param {string} text
 * @returns {any} null for what is no JSON: a proxy's HTML error page, whose status alone says what happened
 */
function parse(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    return null;
  }
}

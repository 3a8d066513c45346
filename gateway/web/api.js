/** The JSON API: fetch with a bearer token, a time-out and RFC 9457 problem details as errors. */

const REQUEST_TIMEOUT_MS = 10000;

/** A refusal by the API (`code` of the problem document), or `network` / `timeout` when no answer came. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 without an answer
   * @param {string} code
   * @param {string} message
   * @param {Record<string, unknown>} [extra] the whole problem document
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

/** A caller of /api/v1 with the token of one person. */
export class Api {
  /** @param {string|null} token */
  constructor(token = null) {
    this.token = token;
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
   */
  post(path, body = {}, key = undefined) {
    return this.request("POST", path, body, key);
  }

  /** @param {string} path */
  delete(path) {
    return this.request("DELETE", path);
  }

  /** Call and read the answer; rejects with ApiError. */
  async request(method, path, body, key) {
    const headers = { Accept: "application/json" };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    let response;
    try {
      response = await fetch(`/api/v1${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
        cache: "no-store",
      });
    } catch (error) {
      throw new ApiError(0, error.name === "TimeoutError" ? "timeout" : "network", String(error.message || error));
    }
    const text = await response.text();
    const answer = parse(text);
    if (!response.ok) {
      const problem = answer || {};
      throw new ApiError(
        response.status,
        problem.code || `http_${response.status}`,
        problem.detail || problem.title,
        problem,
      );
    }
    return answer;
  }
}

/**
 * The rows of a list answer: a bare array, or an object that holds one under `name` or "items".
 * @param {any} answer
 * @param {string} name
 * @returns {any[]}
 */
export function rows(answer, name) {
  if (Array.isArray(answer)) return answer;
  return answer?.[name] || answer?.items || [];
}

function parse(text) {
  try {
    return text ? JSON.parse(text) : {};
  } catch {
    // A proxy's HTML error page: the status alone says what happened.
    return null;
  }
}

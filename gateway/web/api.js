/** The JSON API for the pages: the SDK's, and the rows of its lists. */

export { Api, ApiError } from "./siyu_platform.js";

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

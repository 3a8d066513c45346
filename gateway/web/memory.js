/** Web storage that may be full, forbidden or hold what an older page wrote: then it simply remembers nothing. */

/** Where to remember: for the tab, or for the browser. Even naming the object can throw where storage is forbidden. */
const PLACES = { session: () => globalThis.sessionStorage, local: () => globalThis.localStorage };

/**
 * @param {"session"|"local"} place
 * @param {string} name
 * @param {any} otherwise when nothing (readable) is stored
 */
export function recall(place, name, otherwise) {
  try {
    const text = PLACES[place]().getItem(name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/**
 * @param {"session"|"local"} place
 * @param {string} name
 * @param {any} value null forgets
 * @returns {boolean} whether it was stored
 */
export function remember(place, name, value) {
  try {
    if (value === null) PLACES[place]().removeItem(name);
    else PLACES[place]().setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

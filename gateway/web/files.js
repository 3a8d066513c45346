/** Files of the server, for one who may have them: shown, or saved. */

import { h } from "./dom.js";

const PICTURE_TIMEOUT_MS = 10000;

/** Fetch a file of ours as a data address: our pages load pictures from nowhere else. */
export async function fetched(api, path) {
  const response = await fetch(`/api/v1${path}`, {
    headers: { Authorization: `Bearer ${api.token}` },
    signal: AbortSignal.timeout(PICTURE_TIMEOUT_MS),
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  const blob = await response.blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

export function save(address, name) {
  const anchor = h("a", { href: address, download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

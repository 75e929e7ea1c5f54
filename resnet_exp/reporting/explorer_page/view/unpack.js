// The data in the page, gzipped and in base64.

import { byId } from "./dom.js";

/**
 * @param {string} id of the element that holds it
 * @returns {Promise<string>}
 */
export async function unpackText(id) {
  const letters = atob((byId(id).textContent ?? "").trim());
  const packed = new Uint8Array(letters.length);
  // A loop over two million letters; Uint8Array.from takes ten times as long.
  for (let at = 0; at < letters.length; at += 1) {
    packed[at] = letters.charCodeAt(at);
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/**
 * @param {string} id of the element that holds JSON
 */
export async function unpackJson(id) {
  return JSON.parse(await unpackText(id));
}

// The data in the page, gzipped and in base64.

import { byId } from "./dom.js";

/**
 * @param {string} id of the element that holds it
 * @returns {Promise<string>}
 */
export async function unpackText(id) {
  const packed = Uint8Array.from(atob((byId(id).textContent ?? "").trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

/**
 * @param {string} id of the element that holds JSON
 */
export async function unpackJson(id) {
  return JSON.parse(await unpackText(id));
}

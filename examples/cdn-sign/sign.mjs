// Sign the URL of a picture: `node sign.mjs f:auto,w:800 https://img.example.com/a.jpg`, with CDN_URL, CDN_KEY and
// CDN_SECRET.
import { createHmac } from "node:crypto";

/** Return the URL under which `base` answers with `source`, made as `options` tell. */
export function sign(base, keyId, secret, options, source) {
  // encodeURIComponent leaves five characters that other languages encode: one spelling is one entry of a cache.
  const encoded = encodeURIComponent(source).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const signed = `${options}/${encoded}`;
  const signature = createHmac("sha256", secret).update(signed).digest("base64url");
  return `${base}/cdn/${keyId}.${signature}/${signed}`;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const { CDN_URL, CDN_KEY, CDN_SECRET } = process.env;
  console.log(sign(CDN_URL, CDN_KEY, CDN_SECRET, ...process.argv.slice(2)));
}

// Compresses one image under 2 MB: node compress.mjs photo.jpg small.webp format=webp max_width=1600
import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";

const { API, KEY } = process.env;
const [source, target, ...fields] = process.argv.slice(2);

const form = new FormData();
form.set("file", await openAsBlob(source), "image");
for (const field of fields) form.set(...field.split(/=(.*)/s, 2));

const reply = await fetch(`${API}/api/v1/compress`, {
  method: "POST",
  headers: { Authorization: `Bearer ${KEY}` },
  body: form,
  signal: AbortSignal.timeout(60_000),
});
if (reply.status === 202) throw new Error("The image has 2 MB or more and became a job: see job.mjs.");
if (!reply.ok) {
  const { error } = await reply.json();
  throw new Error(`${reply.status} ${error.code}: ${error.message}`);
}
await writeFile(target, Buffer.from(await reply.arrayBuffer()));
console.log(
  `${reply.headers.get("X-Savings-Percent")} % saved, ` +
    `${reply.headers.get("X-Width")} x ${reply.headers.get("X-Height")} pixels`,
);

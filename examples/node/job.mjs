// Compresses an image of up to 25 MB as a job: node job.mjs camera.jpg small.avif format=avif max_width=1600
import { randomUUID } from "node:crypto";
import { openAsBlob } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const ATTEMPTS = 5;
const POLL_MS = 1000;
const { API, KEY } = process.env;

/** Sends a request; waits and sends it again where the service asks for it. */
async function send(path, { headers, ...request } = {}) {
  for (let attempt = 1; ; attempt++) {
    // A redirect to another host goes without the key.
    const reply = await fetch(new URL(path, API), {
      ...request,
      headers: { Authorization: `Bearer ${KEY}`, ...headers },
      signal: AbortSignal.timeout(60_000),
    });
    if (reply.ok) return reply;
    const { error } = await reply.json();
    if (![429, 503].includes(reply.status) || attempt === ATTEMPTS) {
      throw new Error(`${reply.status} ${error.code}: ${error.message}`);
    }
    await sleep(1000 * Number(reply.headers.get("Retry-After")));
  }
}

/** Sends the image; returns the job's id, which a small image's answer has as well. */
async function submit(source, fields) {
  const form = new FormData();
  form.set("file", await openAsBlob(source), "image");
  for (const field of fields) form.set(...field.split(/=(.*)/s, 2));
  const headers = { "Idempotency-Key": randomUUID() }; // the same again stays one job
  const reply = await send("/api/v1/compress", { method: "POST", headers, body: form });
  await reply.body.cancel();
  return reply.headers.get("X-Job-Id");
}

/** Polls a job until it is complete; returns what is told of it. */
async function wait(id) {
  for (;;) {
    const job = await (await send(`/api/v1/status/${id}`)).json();
    if (job.status === "failed") throw new Error(`${job.error.code}: ${job.error.message}`);
    if (job.status === "complete") return job;
    await sleep(POLL_MS);
  }
}

const [source, target, ...fields] = process.argv.slice(2);
const job = await wait(await submit(source, fields));
const result = await send(job.download_url);
await writeFile(target, Buffer.from(await result.arrayBuffer()));
console.log(`${job.savings_percent} % saved, ${job.dimensions.width} x ${job.dimensions.height} pixels`);

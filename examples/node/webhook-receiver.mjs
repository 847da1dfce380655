// Receives webhooks: node webhook-receiver.mjs 9000; the account's secret is in WEBHOOK_SECRET.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const MAX_BODY_BYTES = 65_536;
const SECRET = process.env.WEBHOOK_SECRET;
if (!SECRET) throw new Error("WEBHOOK_SECRET is not set.");

/** Whether the service sent this body: judged by its bytes as they came. */
function isOurs(body, signature) {
  const expected = Buffer.from(createHmac("sha256", SECRET).update(body).digest("hex"));
  const given = Buffer.from(signature);
  // timingSafeEqual throws where lengths differ.
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** Reads a body; null where it is too large. */
async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Does what is to be done; the same job can come twice. */
function handle(job) {
  console.log(job.id, job.status, job.download_url ?? job.error);
}

async function receive(request, response) {
  const body = await read(request);
  if (body === null) return response.writeHead(413, { Connection: "close" }).end();
  if (request.method !== "POST") return response.writeHead(405, { Allow: "POST" }).end();
  if (!isOurs(body, request.headers["x-compressorize-signature"] ?? "")) return response.writeHead(401).end();
  // Answered before anything is done with it: who takes long is called again.
  response.writeHead(204).end();
  handle(JSON.parse(body));
}

createServer((request, response) => {
  // A sender that hangs up in the middle will come again.
  receive(request, response).catch(() => response.destroy());
}).listen(Number(process.argv[2]), "127.0.0.1");

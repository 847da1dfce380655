'use strict';
// POST /?format=jpeg&quality=75[&box=320][&mozjpeg=1] with a picture as the body.
const http = require('node:http');
const sharp = require('sharp');

async function compress(body, query) {
  let image = sharp(body).autoOrient();
  const box = Number(query.get('box'));
  if (box) image = image.resize({ width: box, height: box, fit: 'inside', withoutEnlargement: true });
  const options = { quality: Number(query.get('quality')) };
  if (query.get('mozjpeg')) options.mozjpeg = true;
  return image.toFormat(query.get('format'), options).toBuffer();
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    const query = new URL(request.url, 'http://localhost').searchParams;
    try {
      const data = await compress(Buffer.concat(chunks), query);
      response.writeHead(200, { 'Content-Type': `image/${query.get('format')}`, 'Content-Length': data.length });
      response.end(data);
    } catch (error) {
      response.writeHead(415, { 'Content-Type': 'text/plain' });
      response.end(String(error));
    }
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');

// An HTTPS server of Node's: server.js LISTENERS; one listener a line: ADDRESS PORT CERT KEY VERSION.
'use strict';
const fs = require('fs');
const https = require('https');
const noise = require('crypto').randomBytes(8 << 20);

function handle(req, res) {
  const [kind, ...args] = req.url.slice(1).split('/');
  const send = (n) => { res.setHeader('Content-Type', 'application/octet-stream'); res.setHeader('Content-Length', n); res.end(noise.subarray(0, n)); };
  req.resume();
  if (kind === 'b') send(+args[0]);
  else if (kind === 'hold') setTimeout(() => send(+args[1]), +args[0]);
  else if (kind === 'in') req.on('end', () => send(+args[0]));
  else { res.statusCode = 404; res.end('not found\n'); }
}

const lines = fs.readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean);
let left = lines.length;
for (const line of lines) {
  const [address, port, cert, key, version] = line.split(' ');
  const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
  if (version === '1.2') options.maxVersion = 'TLSv1.2';
  const server = https.createServer(options, handle);
  server.on('tlsClientError', () => {});
  server.listen(+port, address, () => { if (--left === 0) console.log('ready'); });
}
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

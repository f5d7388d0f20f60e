// Carries out a plan with one of Node's TLS clients: client.js STACK PLAN; STACK is https, http2 or tls.
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const [stack, file] = process.argv.slice(2);
const head = {};
const steps = [];
for (const line of fs.readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
  const [verb, ...args] = line.split(' ');
  if (['url', 'trust', 'identity', 'nameless', 'sessions'].includes(verb)) head[verb] = args;
  else steps.push([verb, args]);
}
const url = new URL(head.url[0]);
const options = head.trust[0] === 'any' ? { rejectUnauthorized: false } : { ca: fs.readFileSync(head.trust[0]) };
if (head.identity) { options.cert = fs.readFileSync(head.identity[0]); options.key = fs.readFileSync(head.identity[1]); }
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function byHTTPS() {
  const https = require('https');
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ...options });
  return {
    fresh: async () => {
      await new Promise(setImmediate); // the agent has the socket back only after the response's end
      await Promise.all(Object.values(agent.freeSockets).flat().map((s) => new Promise((done) => { s.ref(); s.once('close', done); s.end(); })));
    },
    request: (method, path, body) => new Promise((done, fail) => {
      const headers = body ? { 'Content-Length': body.length } : {};
      const req = https.request({ host: url.hostname, port: url.port || 443, path, method, headers, agent, ...options }, (res) => {
        res.resume(); res.on('end', done); res.on('error', fail);
      });
      req.on('error', fail); req.end(body);
    }),
    close: () => agent.destroy(),
  };
}

function byHTTP2() {
  const http2 = require('http2');
  let session = null;
  return {
    fresh: async () => { if (session) { session.close(); session = null; } },
    request: (method, path, body) => new Promise((done, fail) => {
      if (!session) { session = http2.connect(url.origin, options); session.on('error', fail); }
      const req = session.request({ ':method': method, ':path': path });
      req.resume(); req.on('end', done); req.on('error', fail); req.end(body);
    }),
    close: () => session && session.close(),
  };
}

function byTLS() {
  const tls = require('tls');
  const net = require('net');
  let socket = null;
  let left = 0;
  let arrived = null;
  return {
    fresh: async () => { socket.end(); socket = null; },
    raw: async (n, m) => {
      if (!socket) {
        const name = net.isIP(url.hostname) ? {} : { servername: url.hostname };
        socket = tls.connect({ host: url.hostname, port: url.port || 443, ...name, ...options });
        socket.on('data', (data) => { left -= data.length; if (left <= 0) arrived(); });
        await new Promise((done, fail) => { socket.once('secureConnect', done); socket.once('error', fail); });
      }
      const b = Buffer.alloc(8 + n);
      b.writeUInt32BE(n, 0); b.writeUInt32BE(m, 4); crypto.randomFillSync(b, 8);
      left = m;
      const all = new Promise((done) => { arrived = done; });
      socket.write(b);
      if (m > 0) await all;
    },
    close: () => socket && socket.end(),
  };
}

process.exitCode = 1; // unless the last step is reached
(async () => {
  const client = { https: byHTTPS, http2: byHTTP2, tls: byTLS }[stack]();
  for (const [verb, args] of steps) {
    if (verb === 'sleep') await sleep(+args[0]);
    else if (verb === 'fresh') await client.fresh();
    else if (verb === 'get') await client.request('GET', args[0]);
    else if (verb === 'post') await client.request('POST', args[0], crypto.randomBytes(+args[1]));
    else if (verb === 'raw') await client.raw(+args[0], +args[1]);
    else throw new Error(`step ${verb}`);
  }
  client.close();
  process.exitCode = 0;
})().catch((err) => { console.error(String(err)); process.exit(1); });

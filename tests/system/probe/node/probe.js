// The probe handler in JavaScript: does what the event's "do" names. Every language has the same operations.
'use strict';
const fs = require('fs');
const http = require('http');
const { spawn, execFile } = require('child_process');
const { promisify } = require('util');
const zlib = require('zlib');
const { Worker } = require('worker_threads');

let served = 0;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const canWrite = (path) => {
  try { fs.writeFileSync(path, ''); return true; } catch { return false; }
};

const operations = {
  echo: async (event) => event,
  served: async () => ++served,
  context: async (event, context) => {
    const left = context.getRemainingTimeInMillis();
    return { name: context.functionName, version: context.functionVersion, memory: Number(context.memoryLimitInMB),
      arn: context.invokedFunctionArn, request: context.awsRequestId, left: left > 0 && left <= 60000,
      group: context.logGroupName, stream: Boolean(context.logStreamName),
      client: context.clientContext ? context.clientContext.custom ?? context.clientContext.Custom : null };
  },
  environment: async (event) => Object.fromEntries(event.names.map((name) => [name, process.env[name] ?? null])),
  throw: async () => { throw new RangeError('thrown on purpose'); },
  unserialisable: async () => ({ thing: 10n }),
  exit: async (event) => process.exit(event.status ?? 3),
  crash: async () => process.abort(),
  loop: async () => { for (;;); },
  sleep: async (event) => { await pause(event.seconds * 1000); return 'slept'; },
  large: async (event) => 'x'.repeat(event.size),
  orphans: async () => {
    spawn('sh', ['-c', 'setsid sh -c \'trap "" TERM HUP; sleep 1000\' & setsid sleep 1000 & exit'], { stdio: 'ignore' });
    await pause(200);
    return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length >= 3;
  },
  flood: async (event) => {
    const line = 'y'.repeat(1023);
    for (let i = 0; i < event.kb; i++) process.stdout.write(line + '\n');
    return 'flooded';
  },
  close: async () => { fs.closeSync(3); return 'closed'; },
  garbage: async () => { fs.writeSync(3, 'garbage'.repeat(100)); await pause(5000); return 'not reached'; },
  output: async () => { console.log('to standard output'); console.error('to standard error'); return 'printed'; },
  threads: async () => {
    const sum = await new Promise((resolve, reject) => {
      const worker = new Worker('require("worker_threads").parentPort.postMessage([0,1,4,9,16,25,36,49].reduce((a, b) => a + b))', { eval: true });
      worker.on('message', resolve);
      worker.on('error', reject);
    });
    const packed = await promisify(zlib.gzip)('z'.repeat(1000));
    return sum + (await promisify(zlib.gunzip)(packed)).length;
  },
  child: async () => {
    try { await promisify(execFile)('sh', ['-c', 'echo from a child; exit 7']); } catch (error) { return error.stdout.trim(); }
    return 'no exit status';
  },
  fetch: async () => {
    const server = http.createServer((request, response) => response.end('fetched'));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const reply = await fetch(`http://127.0.0.1:${server.address().port}/`);
    const text = await reply.text();
    server.close();
    return text;
  },
  temporary: async (event) => {
    const path = '/tmp/left-behind';
    const seen = fs.existsSync(path);
    await fs.promises.writeFile(path, event.secret);
    return { seen, files: fs.readdirSync('/tmp') };
  },
  look: async () => ({ pid: process.pid, directory: process.cwd(), code: fs.readdirSync('/var/task').sort(),
    processes: fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).sort((a, b) => a - b),
    writable: canWrite('/var/task/x') }),
  hold: async (event) => {
    const kept = [];
    for (let i = 0; i < event.mb >> 3; i++) kept.push(Buffer.alloc(8 << 20, 1));
    await pause((event.seconds ?? 0) * 1000);
    return kept.length * 8;
  },
  processes: async (event) => {
    let made = 0, error = null;
    while (made < event.most && error === null) {
      const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
      await new Promise((resolve) => { child.on('spawn', resolve); child.on('error', (e) => { error = e.code; resolve(); }); });
      if (error === null) made++;
    }
    return { made, error };
  },
  bomb: async (event) => {
    spawn('sh', ['-c', 'b() { b | b & }; b'], { stdio: 'ignore' });
    await pause(event.seconds * 1000);
    return 'survived';
  },
  fill: async (event) => {
    const file = fs.openSync('/tmp/filled', 'w'), block = Buffer.alloc(1 << 20, 1);
    let written = 0, error = null;
    try { while (written < event.mb << 20) written += fs.writeSync(file, block); } catch (e) { error = e.code; }
    fs.closeSync(file);
    return { mb: written >> 20, error };
  },
  descriptors: async (event) => {
    const opened = [];
    let error = null;
    try { while (opened.length < event.most) opened.push(fs.openSync('/dev/null')); } catch (e) { error = e.code; }
    opened.forEach((each) => fs.closeSync(each));
    return { opened: opened.length, error };
  },
  spin: async (event) => {
    const end = performance.now() + event.seconds * 1000, before = process.cpuUsage();
    while (performance.now() < end);
    const used = process.cpuUsage(before);
    return (used.user + used.system) / 1e6;
  },
  work: async (event) => {
    let total = 0;
    for (let i = 0; i < (event.rounds ?? 1000); i++) total = (total * 31 + i) % 1000003;
    return total;
  },
};

exports.handler = async (event, context) => {
  if (event === null || typeof event !== 'object' || !event.do) return event;
  return operations[event.do](event.with ?? {}, context);
};

// A hostile function in JavaScript: the same rows as in Python as far as it goes, through its own interfaces and an
// addon of its own. At import time in the function template, and in the handler.
'use strict';
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');

const addon = { exports: {} };
process.dlopen(addon, path.join(__dirname, 'raw.node'));
const call = addon.exports;
const names = Object.fromEntries(Object.entries(os.constants.errno).map(([name, number]) => [number, name]));
const env = process.env;
const open = (file, flags) => { fs.closeSync(fs.openSync(file, flags)); };

const reachCanary = (start) => {
  for (let depth = 0; depth < 12; depth++) {
    try { open(start + '/..'.repeat(depth) + env.CANARY, 'r'); } catch { continue; }
    return `reached at depth ${depth}`;
  }
  return 'unreachable';
};

const findSecrets = () => {
  const found = new Set();
  const memory = fs.openSync('/proc/self/mem', 'r');
  const pattern = new RegExp('CANA' + 'RY-[0-9a-f]{32}', 'g');
  for (const line of fs.readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const [span, access] = line.split(' ');
    if (!access || access[0] !== 'r' || line.includes('[v')) continue;
    const [start, end] = span.split('-').map((word) => parseInt(word, 16));
    for (let at = start; at < end; at += 1 << 20) {
      const part = Buffer.alloc(Math.min((1 << 20) + 64, end - at));
      try { fs.readSync(memory, part, 0, part.length, at); } catch { break; }
      for (const secret of part.toString('latin1').match(pattern) ?? []) found.add(secret);
    }
  }
  fs.closeSync(memory);
  if (!found.delete(env.OWN_SECRET)) return 'blind';
  return [...found].join(', ') || 'none';
};

const own = {
  usr_write: () => open('/usr/lib/polyvisor-was-here', 'w'),
  task_write: () => open('/var/task/hostile.js', 'r+'),
  adapter_write: () => open('/var/runtime/node/main.js', 'r+'),
  exe_write: () => open('/proc/self/exe', 'r+'),
  write_core_pattern: () => fs.writeFileSync('/proc/sys/kernel/core_pattern', '|/tmp/x', { flag: 'r+' }),
  canary_by_path: () => open(env.CANARY, 'r'),
  canary_by_cwd: () => reachCanary('/proc/self/cwd'),
  canary_by_root: () => reachCanary('/proc/self/root'),
  state_directory: () => { fs.readdirSync(env.STATE); },
  sys_directory: () => { fs.readdirSync('/sys'); },
  other_processes: () => fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) &&
    fs.statSync(`/proc/${name}`).uid !== process.getuid()).join(', ') || 'none',
  memory: findSecrets,
};
for (const line of fs.readFileSync(path.join(__dirname, 'raw_rows.txt'), 'utf8').split('\n').filter(Boolean)) {
  const [name, ...words] = line.split(' ');
  own[name] = () => {
    const result = call(...words.map((word) => word[0] === ':' ? word.slice(1) : Number(word)));
    if (result < 0) throw Object.assign(new Error(name), { code: names[-result] });
  };
}

const connect = (to) => new Promise((resolve) => {
  const socket = net.connect(to, () => { socket.destroy(); resolve('succeeds'); });
  socket.setTimeout(1000, () => { socket.destroy(); resolve('ETIMEDOUT'); });
  socket.on('error', (e) => resolve(e.code));
});
const servers = {
  host_loopback: { host: '127.0.0.1', port: Number(env.HOST_PORT) },
  supervisor_api: { host: '127.0.0.1', port: Number(env.API_PORT) },
  host_socket_path: { path: env.HOST_SOCKET },
};

const tryAll = () => Object.fromEntries(Object.entries(own).map(([name, run]) => {
  try { return [name, run() ?? 'succeeds']; } catch (e) { return [name, e.code ?? String(e)]; }
}));
const atImport = tryAll();

exports.handler = async (event) => {
  if (event.at_import) return atImport;
  const outcomes = tryAll();
  for (const [name, to] of Object.entries(servers)) outcomes[name] = await connect(to);
  return outcomes;
};

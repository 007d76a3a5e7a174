// usher as a process, with a log of its own.

import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { until } from './checks.mjs';

process.setMaxListeners(100); // one for each worker

let started = 0;

export function startWorker(...options) {
  started += 1;
  return start(`worker-${started}`, process.env.E2E_USHER, ['worker', ...options]);
}

// `log()` is all that it has said.
export function start(name, program, options = [], environment = {}) {
  const path = `${process.env.E2E_WORK}/log/${name}.log`;
  const log = openSync(path, 'w');
  const child = spawn(program, options, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...environment },
  });
  closeSync(log);
  process.once('exit', () => child.kill('SIGKILL'));
  return Object.assign(child, { log: () => readFileSync(path, 'utf8') });
}

// How it ended: its exit status, or the signal that ended it.
export async function end(child) {
  await until('the worker has ended', () => (child.exitCode ?? child.signalCode) !== null);
  return child.exitCode ?? child.signalCode;
}

// One of the tools: its standard output and standard error. A status other than
// 0 is an error.
export const usher = (...options) =>
  promisify(execFile)(process.env.E2E_USHER, options, {
    cwd: process.env.E2E_WORK,
    timeout: 120_000,
  });

// `usher` as a process, with a log of its own.

import { execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { promisify } from 'node:util';

import { until } from './checks.mjs';

process.setMaxListeners(100); // one for each worker

let started = 0;

export function startWorker(...options) {
  started += 1;
  const log = openSync(`${process.env.E2E_WORK}/log/worker-${started}.log`, 'w');
  const child = spawn(process.env.E2E_USHER, ['worker', ...options], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  process.once('exit', () => child.kill('SIGKILL'));
  return child;
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

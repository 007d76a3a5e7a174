// `usher worker` as a process, with a log of its own.

import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

import { until } from './checks.mjs';

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

import { z } from 'zod';
import { type Build, buildOf } from '../../process/release.ts';
import { CLEARTEXT_NAMES, type Cleartext } from '../cleartext.ts';
import { check, integer, listOf, oneOf } from '../formats.ts';
import { API, EVERY_PROCESS, type Keys, SERVICE, type Values } from '../key.ts';

export const PROCESS_KEYS = {
  NODE_ENV: {
    format: oneOf(['development', 'production', 'test']),
    default: 'development',
    usedBy: EVERY_PROCESS,
    help: 'In production, short or sample passwords in URLs and connections in cleartext are errors.',
  },
  ALLOW_CLEARTEXT: {
    format: listOf(CLEARTEXT_NAMES),
    default: '',
    usedBy: EVERY_PROCESS,
    help: 'Connections that production accepts without encryption.',
  },
  LOG_LEVEL: {
    format: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    default: 'info',
    usedBy: EVERY_PROCESS,
    help: 'The lowest level of log lines that are written.',
  },
  LATCHKEY_COMMIT: {
    format: check('a commit', z.string(), (text) => /^[0-9A-Za-z][\w.-]{0,63}$/.test(text)),
    defaultText: 'the commit of the checkout or of the npm package',
    usedBy: EVERY_PROCESS,
    help: 'The commit that the first line of the log, /healthz, the metrics and "latchkey --version" report. The Dockerfile sets it from a build argument.',
  },
  SHUTDOWN_DELAY_SECONDS: {
    format: integer(0, 300, 'seconds'),
    defaultText: '5 in production, otherwise 0',
    usedBy: API,
    help: 'Time in which calls are still answered after the health check has reported NOT_SERVING: longer than load balancers take to notice.',
  },
  SHUTDOWN_GRACE_SECONDS: {
    format: integer(0, 300, 'seconds'),
    default: '10',
    usedBy: SERVICE,
    help: 'Time in which running calls and jobs can finish after the delay.',
  },
} as const satisfies Keys;

export type ProcessSettings = {
  environment: 'development' | 'production' | 'test';
  build: Build;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  allowedCleartext: Cleartext[];
  /** Calls are still answered for this time after the health check has reported the stop. */
  shutdownDelayMs: number;
  shutdownGraceMs: number;
};

/** By then, load balancers that probe every one or two seconds have stopped sending calls. */
const PRODUCTION_DELAY_SECONDS = 5;

export function processSettings(values: Values<typeof PROCESS_KEYS>): ProcessSettings {
  const delaySeconds =
    values.SHUTDOWN_DELAY_SECONDS ?? (values.NODE_ENV === 'production' ? PRODUCTION_DELAY_SECONDS : 0);
  return {
    environment: values.NODE_ENV,
    build: buildOf(values.LATCHKEY_COMMIT),
    logLevel: values.LOG_LEVEL,
    allowedCleartext: values.ALLOW_CLEARTEXT,
    shutdownDelayMs: delaySeconds * 1000,
    shutdownGraceMs: values.SHUTDOWN_GRACE_SECONDS * 1000,
  };
}

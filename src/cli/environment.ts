import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type Environment, processEnvironment } from '../config/config.ts';
import { OperatorError } from '../process/operator-error.ts';

/** @param ofDev adds the settings that a running `npm start` has written to this folder */
export function operatorEnvironment(ofDev: boolean): Environment {
  const environment = processEnvironment();
  if (!ofDev) return environment;
  const file = join(environment.LATCHKEY_HOME ?? '.latchkey/dev', 'env');
  try {
    return { ...environment, ...parseEnv(readFileSync(file, 'utf8')) };
  } catch {
    throw new OperatorError(`${file} does not exist: run "npm start" in this folder`);
  }
}

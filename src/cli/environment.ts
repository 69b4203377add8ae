import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { type Environment, processEnvironment } from '../config/config.ts';
import { OperatorError } from '../process/operator-error.ts';

/** @param ofDev of the service that `npm start` runs from this folder, as it has left it there */
export function operatorEnvironment(ofDev: boolean): Environment {
  const environment = processEnvironment();
  if (!ofDev) return environment;
  const file = join(environment.LATCHKEY_HOME ?? '.latchkey/dev', 'env');
  try {
    return { ...environment, ...parseEnv(readFileSync(file, 'utf8')) };
  } catch {
    throw new OperatorError(`there is no ${file}: is "npm start" running, and this its folder?`);
  }
}

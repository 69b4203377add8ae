// Checks the release of Node against "engines" in package.json. This is plain JavaScript, because src/dev/bootstrap.mjs
// runs under any Node since 18.
import { readFileSync } from 'node:fs';

const PART = /^(\^|>=)(\d+)\.(\d+)\.(\d+)$/;

/** @returns {string} */
export function supportedRange() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).engines.node;
}

/**
 * @param {string} version such as `24.22.3`
 * @param {string} range `^a.b.c` and `>=a.b.c`, joined by `||`
 */
export function isInRange(version, range) {
  const given = version.split('-', 1)[0].split('.').map(Number);
  return range.split('||').some((part) => {
    const [, operator, ...numbers] = PART.exec(part.trim()) ?? [];
    if (!operator) throw new Error(`cannot read the range ${range}`);
    const least = numbers.map(Number);
    const isSameMajor = given[0] === least[0];
    return (operator === '>=' || isSameMajor) && isAtLeast(given, least);
  });
}

function isAtLeast(given, least) {
  const different = [0, 1, 2].find((n) => given[n] !== least[n]);
  return different === undefined || given[different] > least[different];
}

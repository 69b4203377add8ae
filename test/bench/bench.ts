// `npm run bench` measures every figure of docs/performance.md side by side in one run. The service has one core and the load has the
// other. Rounds of all contenders take turns, and medians are printed. It takes less than a quarter of an hour.
//
// npm run bench -- [rounds] [--seconds <a measured round>] [--only <regular expression>] [--write]
//
// --only measures the contenders whose names match, and the rows of the second table that match with all that they need. --write puts the
// tables into docs/performance.md and the chart into docs/images/performance.svg.
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { openCertificates } from '../support/certificates.ts';
import { pin, SERVER_CORE, startBackends } from './harness.ts';
import { plot } from './plot.ts';
import { BATCH_VERIFY, compare, contendersOf, HTTP2, measureRates, medianOf, openSetting, SOCKET } from './rates.ts';
import { ratio, rowsOf, thousands } from './rows.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '1.5' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
});
const rounds = Number(positionals[0] ?? 5);
const seconds = Number(values.seconds);
const isWanted = (name: string) => new RegExp(values.only, 'i').test(name);
if (values.write && values.only) throw new Error('--write needs all figures');

const lines: string[] = [];
const say = (line = '') => {
  lines.push(line);
  console.log(line);
};
const tableHead = (...head: string[]) => {
  say(`| ${head.join(' | ')} |`);
  say(`| ${head.map(() => '---').join(' | ')} |`);
};

pin(process.pid, SERVER_CORE);
const backends = await startBackends();
const certificates = await openCertificates();
const setting = await openSetting(backends, certificates);
const all = contendersOf(setting);
const rows = rowsOf({ backends, setting, contenders: all, rounds, seconds }).filter(({ what }) => isWanted(what));
const needed = new Set(rows.flatMap(({ needs }) => needs));
const contenders = all.filter(({ name }) => isWanted(name) || needed.has(name));

const rates = await measureRates(contenders, { rounds, seconds, folder: backends.folder });
const measured = contenders.flatMap(({ name, isOurs }) => {
  const rate = medianOf(rates, name);
  return rate ? [{ name, isOurs, ...rate }] : [];
});
const today = new Date().toISOString().slice(0, 10);
say(`${today}: ${rounds} rounds, medians; Node ${process.versions.node}, ${cpuName()}, one core for the server.`);
say();
if (contenders.length > 0) {
  tableHead('', 'calls a second', 'CPU a call', 'use of the core', 'against bare node:http2');
  for (const { name, perSecond, cpuPerCall, busy } of measured) {
    const toHttp2 = compare(rates, name, HTTP2, (one, other) => one.perSecond / other.perSecond);
    const cells = [thousands(perSecond), `${cpuPerCall.toFixed(1)} µs`, `${(busy * 100).toFixed(0)} %`];
    say(`| ${[name, ...cells, toHttp2 === null ? '' : ratio(toHttp2)].join(' | ')} |`);
  }
  for (const [name, why] of rates.missing) say(`| ${name} | ${why} | | | |`);
  say();
}
tableHead('what', 'measured', 'floor', 'goal');
for (const row of rows) {
  // The other figures of a long run stay useful.
  const figure = await row.measured(rates).catch((error: Error) => {
    console.error(error);
    process.exitCode = 1;
    return 'failed';
  });
  say(`| ${row.what} | ${figure} | ${row.floor ?? ''} | ${row.goal ?? ''} |`);
}
say();
await backends.stop();
certificates.remove();

if (values.write && !process.exitCode) {
  const bars = measured
    .filter(({ name }) => name !== BATCH_VERIFY && name !== SOCKET)
    .map(({ name, isOurs, perSecond }) => ({ label: name, value: perSecond, text: thousands(perSecond), isOurs }));
  writeFileSync('docs/images/performance.svg', plot('Calls a second on one core', bars));
  const page = readFileSync('docs/performance.md', 'utf8');
  const [before, after] = [page.split('<!-- bench -->')[0], page.split('<!-- /bench -->')[1]];
  writeFileSync('docs/performance.md', `${before}<!-- bench -->\n\n${lines.join('\n')}\n<!-- /bench -->${after}`);
}
process.exit();

function cpuName(): string {
  return /model name\s*: (.*)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
}

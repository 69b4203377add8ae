import { ERROR_FIELDS, LOG_FIELD_GROUPS, type LogField } from '../../process/log-fields.ts';
import { code, escapeTags, paragraphs, table } from './markdown.ts';
import type { Page } from './page.ts';

const TYPES: Record<LogField['type'], string> = { text: 'text', number: 'number', texts: 'list of texts' };

export function logsPage(): Page {
  return {
    path: 'docs/reference/logs.md',
    text: paragraphs(
      '# Log fields',
      'Each line of the log carries only these fields.',
      'A line is one JSON object on standard output. `level` is `debug`, `info`, `warn`, `error` or `fatal`, `time` is in UTC (ISO 8601), and `msg` is a sentence. The logger drops every other field. It removes control characters and cuts long texts. A field that OpenTelemetry has as an attribute takes its name, with `_` in place of `.`.',
      'A call has one line when it ends. Calls that gateways make for every request are counted in a line of sums every ten seconds, and at most ten of their rejections in a second have a line of their own. Every line that a call or job causes has its `request_id` and, where it is sampled, its `trace_id` and `span_id`.',
      ...Object.entries(LOG_FIELD_GROUPS).flatMap(([group, fields]) => [`## ${group}`, fieldTable(fields)]),
      '## Errors',
      '`err` holds the error that a line is about.',
      fieldTable(ERROR_FIELDS, 'err.'),
    ),
  };
}

function fieldTable(fields: Record<string, LogField>, prefix = ''): string {
  return table(
    ['Field', 'Type', 'Meaning', 'OpenTelemetry'],
    Object.entries(fields).map(([name, { type, meaning, attribute }]) => [
      code(`${prefix}${name}`),
      TYPES[type],
      escapeTags(meaning),
      attribute === undefined ? '' : code(attribute),
    ]),
  );
}

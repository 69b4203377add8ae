import { expect, test } from 'vitest';
import { prometheusName } from '../../src/telemetry/prometheus-name.ts';

test.each([
  ['rpc.server.call.duration', 's', 'histogram', 'rpc_server_call_duration_seconds'],
  ['nodejs.eventloop.time', 's', 'counter', 'nodejs_eventloop_time_seconds_total'],
  ['process.memory.usage', 'By', 'level', 'process_memory_usage_bytes'],
  ['latchkey.limit.decisions', '{attempt}', 'counter', 'latchkey_limit_decisions_total'],
  ['nodejs.eventloop.utilization', '1', 'gauge', 'nodejs_eventloop_utilization_ratio'],
  ['some.level', '1', 'level', 'some_level'],
  // The unit is not repeated.
  ['wait.seconds', 's', 'gauge', 'wait_seconds'],
  ['a.b_c.d', '', 'gauge', 'a_b_c_d'],
] as const)('%s in %s as a %s is %s at Prometheus', (name, unit, type, expected) => {
  expect(prometheusName({ name, unit, type })).toBe(expected);
});

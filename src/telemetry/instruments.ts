// Every instrument of the service as data: docs/reference/metrics.md is generated from it. Names and attributes follow
// the conventions of OpenTelemetry where one exists. src/telemetry owns metrics and traces. It must not change how a
// call is answered.
import { CALL_INSTRUMENTS } from './call-instruments.ts';
import { DEPENDENCY_INSTRUMENTS } from './dependency-instruments.ts';
import { GROUP_INSTRUMENTS } from './group-instruments.ts';
import { STATE_INSTRUMENTS } from './state-instruments.ts';

export const INSTRUMENTS = {
  ...CALL_INSTRUMENTS,
  ...STATE_INSTRUMENTS,
  ...DEPENDENCY_INSTRUMENTS,
  ...GROUP_INSTRUMENTS,
};

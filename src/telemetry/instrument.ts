import type { Named } from './prometheus-name.ts';

/**
 * How `serve --workers` combines the values of its workers on one page: `each` adds the label `worker`. Without it,
 * values add up.
 */
export type Across = 'max' | 'min' | 'each';

/** The unit is one of UCUM, such as `s`, or an annotation, such as `{call}`. */
export type Instrument = Named & {
  attributes: Record<string, string>;
  description: string;
  buckets?: readonly number[];
} & (
    | { type: 'counter' | 'histogram'; across?: never }
    /** A `level` can be summed over processes, a `gauge` cannot. */
    | { type: 'level'; across?: Across }
    | { type: 'gauge'; across: Across }
  );

import { anyText, integer } from '../formats.ts';
import { type Keys, type Values, WORKER } from '../key.ts';

export const AUDIT_KEYS = {
  AUDIT_ANCHOR_SECONDS: {
    format: integer(0, 86_400, 'seconds'),
    default: '3600',
    usedBy: WORKER,
    help: 'Interval at which a worker logs the end of the audit chain; 0 means never.',
  },
  AUDIT_ANCHOR_FILE: {
    format: anyText('the path of a file'),
    usedBy: WORKER,
    help: 'A file to which the end of the audit chain is appended as well.',
  },
} as const satisfies Keys;

export type AuditSettings = { anchorEveryMs: number; anchorFile: string | null };

export function auditSettings(values: Values<typeof AUDIT_KEYS>): AuditSettings {
  return {
    anchorEveryMs: values.AUDIT_ANCHOR_SECONDS * 1000,
    anchorFile: values.AUDIT_ANCHOR_FILE ?? null,
  };
}

// The places at which node:http2, whose protocol is nghttp2's, and the engine may differ.
import type { AllowedDifference } from './difference.ts';
import { FRAME_DIFFERENCES } from './frame-differences.ts';
import { REQUEST_DIFFERENCES } from './request-differences.ts';

export const ALLOWED_DIFFERENCES: readonly AllowedDifference[] = [...FRAME_DIFFERENCES, ...REQUEST_DIFFERENCES];

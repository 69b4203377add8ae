export function supportedRange(): string;
export function isInRange(version: string, range: string): boolean;

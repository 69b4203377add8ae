import { encode } from 'uqr';

/** In modules (ISO/IEC 18004 section 6.3.8). */
const QUIET_ZONE = 4;

/** A complete SVG image without scripts or external references. One unit is one module. */
export function qrCodeSvg(text: string): string {
  const { data, size } = encode(text, { ecc: 'M', border: QUIET_ZONE });
  const path = data.map((row, y) => runsOf(row, y)).join('');
  // Without crispEdges a scaled image has pale lines between the rows.
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" shape-rendering="crispEdges">` +
    `<path fill="#fff" d="M0 0h${size}v${size}h-${size}z"/><path fill="#000" d="${path}"/></svg>`
  );
}

/** A rectangle for each run of dark modules. */
function runsOf(row: boolean[], y: number): string {
  const line = row.map((isDark) => (isDark ? '1' : '0')).join('');
  return [...line.matchAll(/1+/g)].map(({ index, 0: { length } }) => `M${index} ${y}h${length}v1h-${length}z`).join('');
}

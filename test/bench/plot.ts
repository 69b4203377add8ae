/** One bar: its length is the value against the largest. */
export type Bar = { label: string; value: number; text: string; isOurs: boolean };

const WIDTH = 760;
const BAR_HEIGHT = 22;
const GAP = 8;
const LABEL_WIDTH = 290;
const TEXT_WIDTH = 110;

/** Horizontal bars as SVG, for light and dark pages. */
export function plot(title: string, bars: Bar[]): string {
  const largest = Math.max(...bars.map(({ value }) => value));
  const height = 48 + bars.length * (BAR_HEIGHT + GAP);
  const rows = bars.map(({ label, value, text, isOurs }, n) => {
    const y = 40 + n * (BAR_HEIGHT + GAP);
    const width = Math.max(1, (value / largest) * (WIDTH - LABEL_WIDTH - TEXT_WIDTH));
    return [
      `  <text x="${LABEL_WIDTH - 10}" y="${y + 16}" text-anchor="end">${label}</text>`,
      `  <rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" class="${isOurs ? 'ours' : 'other'}"/>`,
      `  <text x="${(LABEL_WIDTH + width + 8).toFixed(1)}" y="${y + 16}">${text}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13">
  <title>${title}</title>
  <style>
    text { fill: #1f2933 }
    .ours { fill: #2a78d0 }
    .other { fill: #9aa4b1 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .ours { fill: #58a6ff }
      .other { fill: #6e7681 }
    }
  </style>
  <text x="12" y="24" font-size="15" font-weight="bold">${title}</text>
${rows.join('\n')}
</svg>
`;
}

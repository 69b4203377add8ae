/** HTML whose values are escaped. */
export type Html = { html: string };

type Value = string | Html | Html[];

export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  return { html: parts.map((part, n) => part + render(values[n] ?? '')).join('') };
}

function render(value: Value): string {
  if (Array.isArray(value)) return value.map(({ html }) => html).join('\n');
  return typeof value === 'string' ? escapeHtml(value) : value.html;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}

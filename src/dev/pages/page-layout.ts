import { escapeHtml } from '../../jobs/mails/escape-html.ts';

/** @param body HTML */
export function pageLayout(title: string, script: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="/dev/icon.svg">
<link rel="stylesheet" href="/dev/pages.css">
<script type="module" src="/dev/${script}"></script>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
${body}
</main>
</body>
</html>
`;
}

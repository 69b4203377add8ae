const form = document.querySelector('form');
const button = document.querySelector('button');
const status = document.querySelector('#status');
const token = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';

if (token === '') report('This link has no token. Open the link of the mail, or copy all of it.', false);
else button.disabled = false;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  status.textContent = '...';
  status.className = '';
  const isDone = await send().catch(() => report('The service did not answer. Try again.', false));
  // An invalid password can be corrected; the token is still valid then.
  button.disabled = isDone;
});

/** @returns whether the call succeeded */
async function send() {
  const { method, tokenField, done } = form.dataset;
  const response = await fetch(`/latchkey.auth.v1.AuthService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...Object.fromEntries(new FormData(form)), [tokenField]: token }),
  });
  if (!response.ok) return report(messageOf(await response.json()), false);
  // The token is used up, so it leaves the history of the browser too.
  history.replaceState(null, '', location.pathname);
  form.reset();
  return report(done, true);
}

function messageOf({ message, details = [] }) {
  const violations = details.flatMap(({ debug }) => debug?.fieldViolations ?? []);
  return [message, ...violations.map(({ field, description }) => `${field} ${description}`)].join(': ');
}

function report(text, isGood) {
  status.textContent = text;
  status.className = isGood ? 'good' : 'bad';
  return isGood;
}

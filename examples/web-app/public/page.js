// The token of a mailed link is in the fragment, which browsers send to no server. The form of the page carries it.
const field = document.querySelector('input[name=token]');
if (field?.value === '') {
  field.value = new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  if (field.value === '')
    document.querySelector('#problem').textContent = 'The link is incomplete. Open it from the mail.';
}

// A request in the background. The server renews the session silently; 401 means that the user must sign in again.
const roles = document.querySelector('#roles');
if (roles) {
  const response = await fetch('/api/me');
  if (response.status === 401) location.assign('/sign-in');
  else roles.textContent = (await response.json()).roles.join(', ');
}

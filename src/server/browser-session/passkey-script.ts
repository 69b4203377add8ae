// The one script of the pages: browsers use passkeys by scripts alone. It shows the forms of passkeys where the browser
// can use them, and submits the response of the passkey with its form.

export const PASSKEY_SCRIPT = `'use strict';
const canUsePasskeys =
  typeof PublicKeyCredential === 'function' && typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function';
const forms = canUsePasskeys ? document.querySelectorAll('form.passkey') : [];
for (const form of forms) {
  form.hidden = false;
  const { request, creation, starts } = form.dataset;
  const ask = () => request
    ? navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(request)) })
    : navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(creation)) });
  const answer = async () => {
    try {
      form.querySelector('[data-response]').value = JSON.stringify(await ask());
      form.submit();
    } catch {
      form.querySelector('[role=alert]').hidden = false;
    }
  };
  if (request || creation) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      answer();
    });
  }
  if (starts) answer();
}`;

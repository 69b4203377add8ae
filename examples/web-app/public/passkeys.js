// The browser creates or uses a passkey with the options of the form, and the form carries the response.
const { credentials } = navigator;

async function responseFor({ create, get }) {
  const credential = create
    ? await credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(create)) })
    : await credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(get)) });
  return JSON.stringify(credential);
}

for (const form of document.querySelectorAll('form[data-create], form[data-get]')) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      form.querySelector('[name$=passkey]').value = await responseFor(form.dataset);
      form.submit();
    } catch (error) {
      const isKnown = error.name === 'InvalidStateError';
      document.querySelector('#problem').textContent = isKnown
        ? 'This device has a passkey of your account.'
        : 'The passkey was not used. Try again, or choose another way.';
    }
  });
}

const health = document.querySelector('#health');
const response = await fetch('/readyz').catch(() => null);
const { status = 'unavailable', problems = [], degraded = [] } = (await response?.json().catch(() => null)) ?? {};
health.textContent = [status, ...problems, ...degraded].join('; ');
health.className = response?.ok && degraded.length === 0 ? 'good' : 'bad';

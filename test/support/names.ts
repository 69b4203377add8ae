export const TEMPLATE = 'latchkey_template';
export const SERVICE_LOGIN = 'latchkey_test';
export const REDIS_DATABASES = 1024;

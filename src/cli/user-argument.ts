export const USER = { user: 'ID or e-mail address of the user, or its ID in the system of an import' } as const;

// GitHub as its documentation describes the three responses that a sign-in needs, and their failures.
import http from 'node:http';
import type { AddressInfo } from 'node:net';

type Answer = { status?: number; type?: string; body: string; headers?: Record<string, string>; delayMs?: number };

export type GitHub = {
  url: string;
  /** By path; a missing path gets GitHub's response for a user with a verified address. */
  answers: Map<string, Answer>;
  /** Bodies of the requests for a token. */
  redeemed: URLSearchParams[];
  /** Paths of all requests. */
  asked: string[];
  close(): void;
};

export const json = (value: unknown, status = 200): Answer => ({ status, body: JSON.stringify(value) });

export async function startGitHub(): Promise<GitHub> {
  const answers = new Map<string, Answer>();
  const redeemed: URLSearchParams[] = [];
  const asked: string[] = [];
  const usual: Record<string, Answer> = {
    '/login/oauth/access_token': json({
      access_token: 'gho_16C7e42F292c6912E7710c838347Ae178B4a',
      scope: 'read:user,user:email',
      token_type: 'bearer',
    }),
    '/user': json({ login: 'octocat', id: 583231, name: 'The Octocat', email: null }),
    '/user/emails': json([
      { email: 'octocat@github.example', verified: true, primary: true, visibility: 'private' },
      { email: 'old@github.example', verified: true, primary: false, visibility: null },
    ]),
  };
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const path = request.url ?? '';
      asked.push(path);
      if (path === '/login/oauth/access_token') redeemed.push(new URLSearchParams(body));
      const answer = answers.get(path) ?? usual[path] ?? json({ message: 'Not Found' }, 404);
      setTimeout(() => {
        response.writeHead(answer.status ?? 200, {
          'content-type': answer.type ?? 'application/json',
          ...answer.headers,
        });
        response.end(answer.body);
      }, answer.delayMs ?? 0);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    redeemed,
    asked,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

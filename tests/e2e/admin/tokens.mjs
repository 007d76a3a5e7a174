// Tokens: the claims of one, and forged ones.

import { createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';

export const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');

// The same claims and others, with a signature over `header.payload`.
function made(alg, claims, signature) {
  const content = `${part({ alg, typ: 'JWT', kid: 'CognitoLocal' })}.${part(claims)}`;
  return `${content}.${signature(content).toString('base64url')}`;
}

// Forged tokens for the administrator of the token `admin`, and for the member of `plain`.
export async function forgeries(admin, plain) {
  const wanted = claims(admin);
  const { keys } = await (await fetch(`${wanted.iss}/.well-known/jwks.json`)).json();
  const pem = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const raised = { ...claims(plain), 'cognito:groups': ['ADMINS'] };
  const signature = Buffer.from(plain.split('.')[2], 'base64url');
  const own = (content) => sign('RSA-SHA256', Buffer.from(content), privateKey);
  return {
    'a group added': made('RS256', raised, () => signature),
    'another key': made('RS256', wanted, own),
    'the public key as a secret': made('HS256', wanted, (content) =>
      createHmac('sha256', pem).update(content).digest(),
    ),
    'no signature': made('none', wanted, () => Buffer.alloc(0)),
    'half a token': admin.slice(0, admin.length / 2),
  };
}

// The script a user would write instead of running a broker: Sendblue's TOTP calls on Fastify and otplib.
// Secrets lie encrypted with AES-256-GCM in a map; one key pair is hard-coded; nothing is written to disk and
// nobody learns who read which code.
import { createCipheriv, createDecipheriv, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import Fastify from 'fastify';
import { generateSecret, generateSync } from 'otplib';

const KEY_ID = Buffer.from('bench-id');
const KEY_SECRET = Buffer.from('bench-secret');
const masterKey = randomBytes(32);
const entries = new Map();

function seal(plain) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', masterKey, nonce);
  const text = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
  return { nonce, text, tag: cipher.getAuthTag() };
}

function open({ nonce, text, tag }) {
  const decipher = createDecipheriv('aes-256-gcm', masterKey, nonce);
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8');
}

function same(given, expected) {
  const bytes = Buffer.from(String(given ?? ''));
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}

const app = Fastify({ logger: false });

app.addHook('onRequest', (request, reply, done) => {
  const { 'sb-api-key-id': id, 'sb-api-secret-key': secret } = request.headers;
  if (same(id, KEY_ID) && same(secret, KEY_SECRET)) {
    done();
    return;
  }
  reply.code(401).send({ status: 'ERROR', message: 'Invalid Credentials' });
});

app.post('/api/v2/totp/secrets', (request, reply) => {
  const { label, issuer = null, secret = generateSecret() } = request.body ?? {};
  if (typeof label !== 'string') {
    reply.code(400).send({ status: 'ERROR', message: 'label is required' });
    return;
  }
  const entry = {
    id: randomUUID(),
    label,
    issuer,
    algorithm: 'SHA1',
    digits: 6,
    period: 30,
    created_at: new Date().toISOString(),
  };
  entries.set(entry.id, { ...entry, sealed: seal(secret) });
  reply.send({ status: 'OK', totp_secret: { ...entry, secret } });
});

app.get('/api/v2/totp/code/:id', (request, reply) => {
  const entry = entries.get(request.params.id);
  if (!entry) {
    reply.code(404).send({ status: 'ERROR', message: 'No such secret' });
    return;
  }
  const code = generateSync({ secret: open(entry.sealed) });
  const now = Math.floor(Date.now() / 1000);
  reply.send({ status: 'OK', code, expires_in: entry.period - (now % entry.period) });
});

console.log(`listening on ${await app.listen({ host: '127.0.0.1', port: 0 })}`);

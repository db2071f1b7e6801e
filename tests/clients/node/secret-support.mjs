// What the tests of secrets share: values that are looked for afterwards, and what the package gives of a secret.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { refused } from './chatbotkit-support.mjs';

export const CANARY = 'CANARY234567CANA';
export const MASK = '********';

export const alias = () => `a-${randomUUID()}`;
export const value = () => `${CANARY}${randomUUID()}`;
export const badRequest = (promise, message) => refused(promise, 'BAD_REQUEST', message);

/** What the package gives of a secret, in which no value may be. */
export function withoutValue(given) {
  assert.ok(!JSON.stringify(given).includes(CANARY), 'a value is in an answer');
  assert.ok(!('value' in given));
  return given;
}

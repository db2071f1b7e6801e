// What is connected stays alive, and how the provider sees it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { works } from './oauth-support.mjs';
import { LIFE, TWO_SECRETS } from './provider.mjs';
import { until, verified } from './support.mjs';

/** The person of a test, by whom the provider knows what it has seen of them. */
export const somebody = () => `ann-${randomUUID()}`;

/** The first of two secrets is one that the client has no more. */
const isExpected = ({ client, what }) => client === TWO_SECRETS && what === 'invalid_client: invalid secret provided';

/** Each renewal was done once, and nothing was refused: a refresh token that is used again ends everything. `first` is the grant that it began with. */
export function expectEachOnce(at, person, first = 'authorization_code') {
  const answers = at.answersTo(person);
  assert.deepEqual(at.seen.refused.filter((refused) => refused.client === answers[0].client && !isExpected(refused)), []);
  assert.deepEqual(answers.map(({ type }) => type), [first, ...answers.slice(1).map(() => 'refresh_token')]);
  assert.equal(new Set(answers.map(({ refresh }) => refresh)).size, answers.length, 'each refresh token is another');
  for (const [one, next] of answers.slice(1).map((next, index) => [answers[index], next])) {
    // The first moment at which a renewal may come is when a quarter of its life is left.
    assert.ok(next.at - one.at > LIFE * 0.7, `renewed twice within ${next.at - one.at} ms`);
  }
}

/** Waits, using it all the time, until it was renewed so often, and each token that was handed out was good. */
export async function stayAlive(at, to, person, renewals, first) {
  await until(`${renewals} renewals`, async () => {
    const tokens = await Promise.all(Array.from({ length: 4 }, () => works(at, to)));
    assert.equal(await verified(to), 'authenticated');
    assert.ok(new Set(tokens).size <= 2, 'those who ask at once get the same token, or the next');
    return at.answersTo(person).length > renewals;
  });
  expectEachOnce(at, person, first);
}

/** Revokes what is connected, and waits until the provider knows. */
export async function revoke(at, to, person) {
  const { access } = at.answersTo(person).at(-1);
  await to.post('revoke');
  assert.equal(await verified(to), 'unauthenticated');
  await until('the grant is over at the provider', async () => !(await at.isActive(at.answersTo(person).at(-1).refresh)));
  assert.ok(!(await at.accepts(access)));
}

// The published ChatBotKit package for Node, unmodified, against a running Keyfob: what becomes of a connection, or of a
// shared value, when the network connection is cut. tests/clients/run.sh starts Keyfob and sets the environment.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { client, cutClient, ids } from './chatbotkit-support.mjs';
import { Browser, TYPED, connect, linkOf, pair, pathOf } from './connection-support.mjs';
import { value } from './secret-support.mjs';

const { contact, secret } = client();

/** Through a contact and without one there are the same three calls; `give` stores a value. */
const NOUNS = {
  connection: async () => {
    const [at, to] = await pair();
    return { to, of: (api) => api.contact.secret, args: [at, to], give: () => connect(at, to) };
  },
  'shared secret': async () => {
    const { id } = await secret.create({});
    return { to: id, of: (api) => api.secret, args: [id], give: () => secret.update(id, { value: value() }) };
  },
};

// This client sends a request up to four times, and says nothing of it. At once, because it waits in between.
describe('a call whose connection is cut', { concurrency: true }, () => {
  for (const [noun, make] of Object.entries(NOUNS)) {
    for (const before of ['request', 'answer']) {
      for (const cuts of [1, 3]) {
        const how = `${noun}, ${cuts} times before the ${before}`;

        test(`${how}: verify answers the same link each time`, async (t) => {
          const { to, of, args, give } = await make();
          const { api, answers, checkAttempts } = await cutClient(t, { before, cuts });
          const link = await linkOf(of(api).verify(...args));
          checkAttempts();
          assert.deepEqual(new Set(answers().map(({ id, action }) => `${id} ${action.url}`)), new Set([`${to} ${link}`]));
          await give();
          const again = await cutClient(t, { before, cuts });
          assert.deepEqual(await of(again.api).verify(...args), { id: to, status: 'authenticated' });
          again.checkAttempts();
        });

        test(`${how}: authenticate answers a link each time, and what is entered at one of them is stored`, async (t) => {
          const { to, of, args } = await make();
          const { api, answers, checkAttempts } = await cutClient(t, { before, cuts });
          const { id, url } = await of(api).authenticate(...args);
          assert.equal(id, to);
          checkAttempts();
          const links = answers().map((answer) => answer.url);
          assert.equal(links.at(-1), url);
          assert.equal(new Set(links.map(pathOf)).size, links.length);
          for (const link of links) assert.equal((await new Browser().open(link)).status, 200, 'each of them works');
          assert.match((await new Browser().submit(links[0], TYPED.plain())).text, /is connected/);
          assert.equal((await of({ contact, secret }).verify(...args)).status, 'authenticated');
        });

        test(`${how}: revoke answers the same each time, and nothing is connected`, async (t) => {
          const { to, of, args, give } = await make();
          await give();
          const { api, answers, checkAttempts } = await cutClient(t, { before, cuts });
          assert.deepEqual(await of(api).revoke(...args), { id: to });
          checkAttempts();
          assert.deepEqual(new Set(ids(answers())), new Set([to]));
          await linkOf(of({ contact, secret }).verify(...args));
        });
      }
    }
  }

  for (const before of ['request', 'answer']) {
    test(`before the ${before}: a list goes on`, async (t) => {
      const [at, to] = await pair();
      await connect(at, to);
      const { api, checkAttempts } = await cutClient(t, { before, cuts: 3 });
      assert.deepEqual(ids((await api.contact.secret.list(at)).items), [to]);
      checkAttempts();
    });
  }
});

// Evaluates the flags of testdata/openfeature.txtar with the OpenFeature server SDK
// and its OFREP provider against a running bot: node check.mjs URL KEY
import assert from 'node:assert/strict';
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const [baseUrl, key] = process.argv.slice(2);
const headers = (value) => [['Authorization', `Bearer ${value}`]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: headers(key) }));
const client = OpenFeature.getClient();
const user = { targetingKey: 'user-1', country: 'DE' };

const details = async (kind, flag, fallback, context = user) => client[`get${kind}Details`](flag, fallback, context);
const is = (got, want) => {
  for (const [field, value] of Object.entries(want)) assert.deepEqual(got[field], value, `${got.flagKey}: ${field} is ${JSON.stringify(got)}`);
};

is(await details('Boolean', 'new-checkout', false), { value: true, reason: 'STATIC', variant: 'on' });
is(await details('String', 'theme', 'none'), { value: '#000', reason: 'STATIC', variant: 'dark' });
is(await details('Number', 'limit', 0), { value: 12.5, reason: 'STATIC', variant: 'high' });
is(await details('Object', 'layout', {}), { value: { columns: 2, wide: true }, variant: 'wide' });
is(await details('Boolean', 'killed', true), { value: false, reason: 'DISABLED', variant: 'off' });
is(await details('Boolean', 'germany', false), { value: true, reason: 'TARGETING_MATCH' });
is(await details('Boolean', 'germany', false, { targetingKey: 'user-1', country: 'FR' }), { value: false });

// Whom a percentage reaches does not change, and is reached again when it is raised.
is(await details('Boolean', 'some', false), { reason: 'SPLIT' });
is(await details('Boolean', 'some', false, {}), { value: false, errorCode: 'TARGETING_KEY_MISSING' });
is(await details('Boolean', 'new-checkout', false, {}), { value: true });

is(await details('Boolean', 'nothing', true), { value: true, errorCode: 'FLAG_NOT_FOUND' });
is(await details('Boolean', 'theme', true), { value: true, errorCode: 'TYPE_MISMATCH' });
is(await details('String', 'limit', 'x'), { value: 'x', errorCode: 'TYPE_MISMATCH' });

await OpenFeature.setProviderAndWait('stranger', new OFREPProvider({ baseUrl, headers: headers('not-the-key-00000000') }));
const refused = await OpenFeature.getClient('stranger').getBooleanDetails('new-checkout', false, user);
assert.equal(refused.value, false);
assert.ok(refused.errorCode, `a wrong key: ${JSON.stringify(refused)}`);

const bulk = (etag) => fetch(`${baseUrl}/ofrep/v1/evaluate/flags`, {
  method: 'POST', body: JSON.stringify({ context: user }),
  headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json', ...(etag && { 'If-None-Match': etag }) },
});
const first = await bulk();
assert.equal(first.status, 200);
assert.ok((await first.json()).flags.length >= 7);
assert.equal((await bulk(first.headers.get('etag'))).status, 304);
console.log('all as the SDK has it');
await OpenFeature.close();

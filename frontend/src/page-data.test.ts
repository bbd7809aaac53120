import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePage } from './page-data';

const client = {
  id: 3,
  client: 'web-1',
  ip: '192.0.2.7',
  show_cpus: true,
  show_memory: false,
  show_disk: true,
  disabled: false,
  frequency: 10,
  name: 'web-1',
  last_seen_s: 90,
};

function page(more: object): string {
  return JSON.stringify({
    websocket_path: '/ws',
    realm: 'realm1',
    server_time_s: 100,
    admin_url: '/admin/heliograph_monitor/client/',
    clients: [client],
    ...more,
  });
}

test('the embedded list is read with ages by the clock of the server', () => {
  const read = parsePage(page({}));
  const [machine] = read.machines;
  assert.equal(read.adminUrl, '/admin/heliograph_monitor/client/');
  assert.equal(machine?.key, 'web-1');
  assert.equal(machine?.lastSeenAgeS, 10);
  assert.equal(machine?.configuration.frequencyS, 10);
  assert.equal(machine?.configuration.showMemory, false);
});

test("a tutorial client's key is its address", () => {
  assert.equal(parsePage(page({ clients: [{ ...client, client: null }] })).machines[0]?.key, '192.0.2.7');
});

test('an entry without identity is left out, the others stay', () => {
  assert.equal(parsePage(page({ clients: [{ ip: 'x' }, 7, client] })).machines.length, 1);
});

for (const url of ['javascript:alert(1)', '//elsewhere.example/', 'https://elsewhere.example/', '/\\elsewhere', 7]) {
  test(`${url} is no address of this site`, () => assert.equal(parsePage(page({ admin_url: url })).adminUrl, null));
}

test('a page without a list says so', () => {
  assert.throws(() => parsePage('{}'), /no list "clients"/);
});

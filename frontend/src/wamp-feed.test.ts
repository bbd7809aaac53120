import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import type { FeedListener } from './feed';
import { type SocketClass, WampFeed } from './wamp-feed';

type Message = readonly unknown[];

/** A browser's socket with a router's answers behind it. */
class FakeSocket extends EventTarget {
  static made: FakeSocket[] = [];
  static refusedTopics = new Set<string>();
  readyState = 0;
  protocol = 'wamp.2.json';
  sent: Message[] = [];
  closed = false;
  /** Whether the end of the closing handshake is awaited for ever, as on a dead network. */
  lingering = false;
  onopen: (() => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  onmessage: ((event: unknown) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;

  constructor(readonly url: string) {
    super();
    FakeSocket.made.push(this);
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  send(text: string): void {
    const message = JSON.parse(text) as Message;
    this.sent.push(message);
    if (message[0] === 1) this.receive([2, 7, { roles: { broker: {}, dealer: {} } }]);
    if (message[0] === 32) {
      const refused = FakeSocket.refusedTopics.has(String(message[3]));
      this.receive(refused ? [8, 32, message[1], {}, 'wamp.error.not_authorized'] : [33, message[1], this.sent.length]);
    }
  }

  receive(message: Message): void {
    const event = new MessageEvent('message', { data: JSON.stringify(message) });
    queueMicrotask(() => {
      this.dispatchEvent(event);
      this.onmessage?.(event);
    });
  }

  event(topic: string, ...args: readonly unknown[]): void {
    const index = this.sent.findIndex((message) => message[0] === 32 && message[3] === topic);
    assert.ok(index >= 0, `nobody subscribed ${topic}`);
    this.receive([36, index + 1, 1, {}, args]);
  }

  close(): void {
    this.closed = true;
    this.readyState = this.lingering ? 2 : 3;
    if (!this.lingering) queueMicrotask(() => this.onclose?.({}));
  }

  topics(): readonly unknown[] {
    return this.sent.filter((message) => message[0] === 32).map((message) => message[3]);
  }
}

class Recorder implements FeedListener {
  readonly heard: string[] = [];
  connected(): void {
    this.heard.push('connected');
  }
  lost(reason: string, retryAtMs: number | null): void {
    this.heard.push(retryAtMs === null ? 'trying' : `lost: ${reason}`);
  }
  sample(payload: unknown): void {
    this.heard.push(`sample ${JSON.stringify(payload)}`);
  }
  configuration(key: string, payload: unknown): void {
    this.heard.push(`configuration ${key} ${JSON.stringify(payload)}`);
  }
  refused(key: string, reason: string): void {
    this.heard.push(`refused ${key}: ${reason}`);
  }
}

function started(...keys: readonly string[]): { feed: WampFeed; listener: Recorder } {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const feed = new WampFeed({
    url: 'ws://127.0.0.1:8080/ws',
    realm: 'realm1',
    socket: FakeSocket as unknown as SocketClass,
    random: () => 1,
  });
  const listener = new Recorder();
  feed.follow(keys);
  feed.start(listener);
  return { feed, listener };
}

/** Lets everything that waits for nothing but its turn run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function socket(index: number): FakeSocket {
  const made = FakeSocket.made.at(index);
  assert.ok(made, `socket ${index} was never made`);
  return made;
}

afterEach(() => {
  mock.timers.reset();
  FakeSocket.made = [];
  FakeSocket.refusedTopics = new Set();
});

test('it subscribes to the samples and to the configuration of each machine, then says it is connected', async () => {
  const { listener } = started('web-1', '192.0.2.7', '2001:db8::7');
  socket(0).open();
  await settled();
  assert.deepEqual(socket(0).sent[0]?.slice(0, 2), [1, 'realm1']);
  assert.deepEqual(socket(0).topics(), [
    'clientstats',
    'clientconfig.web-1',
    'clientconfig.192.0.2.7',
    'clientconfig.2001:db8::7',
  ]);
  assert.deepEqual(listener.heard, ['connected']);
});

test('events are handed on as they came, an event without arguments too', async () => {
  const { listener } = started('web-1');
  socket(0).open();
  await settled();
  socket(0).event('clientstats', { client: 'web-1' });
  socket(0).event('clientstats');
  socket(0).event('clientconfig.web-1', { frequency: 5 });
  await settled();
  assert.deepEqual(listener.heard.slice(1), [
    'sample {"client":"web-1"}',
    'sample undefined',
    'configuration web-1 {"frequency":5}',
  ]);
});

test('a machine that comes later is followed at once, and once only', async () => {
  const { feed } = started();
  socket(0).open();
  await settled();
  feed.follow(['late']);
  feed.follow(['late']);
  await settled();
  assert.deepEqual(socket(0).topics(), ['clientstats', 'clientconfig.late']);
});

test('a loss is told with its retry, and the next connection subscribes everything again', async () => {
  const { feed, listener } = started('web-1');
  socket(0).open();
  await settled();
  feed.follow(['late']);
  await settled();
  socket(0).close();
  await settled();
  mock.timers.tick(500);
  await settled();
  assert.equal(FakeSocket.made.length, 2);
  socket(1).open();
  await settled();
  assert.deepEqual(socket(1).topics(), ['clientstats', 'clientconfig.web-1', 'clientconfig.late']);
  assert.deepEqual(listener.heard, ['connected', 'lost: the connection was closed', 'trying', 'connected']);
});

test('waits grow while the router cannot be reached', async () => {
  const { listener } = started();
  for (const waitMs of [500, 1000, 2000]) {
    const made = FakeSocket.made.length;
    socket(-1).onerror?.({});
    socket(-1).close();
    await settled();
    mock.timers.tick(waitMs - 1);
    await settled();
    assert.equal(FakeSocket.made.length, made);
    mock.timers.tick(1);
    await settled();
    assert.equal(FakeSocket.made.length, made + 1);
  }
  assert.equal(listener.heard[0], 'lost: the router cannot be reached');
});

test('a router that accepts and never answers is given up', async () => {
  const { listener } = started();
  mock.timers.tick(10_000);
  await settled();
  assert.equal(socket(0).closed, true);
  assert.deepEqual(listener.heard, ['lost: the router did not answer within 10 s']);
});

test('a connection that closes before the session is joined is a loss, too', async () => {
  const { listener } = started();
  socket(0).close();
  await settled();
  assert.deepEqual(listener.heard, ['lost: the connection was closed']);
});

test('waking up while waiting connects at once', async () => {
  const { feed } = started();
  socket(0).close();
  await settled();
  feed.wake();
  assert.equal(FakeSocket.made.length, 2);
  socket(1).open();
  await settled();
  mock.timers.tick(60_000);
  await settled();
  assert.equal(FakeSocket.made.length, 2);
});

test('what a connection says after it was given up is not heard', async () => {
  const { feed, listener } = started();
  socket(0).open();
  await settled();
  socket(0).lingering = true;
  mock.timers.tick(20_000);
  feed.check();
  mock.timers.tick(5_000);
  await settled();
  assert.equal(socket(0).closed, true);
  socket(0).event('clientstats', { client: 'ghost' });
  await settled();
  assert.deepEqual(listener.heard, ['connected', 'lost: the router fell silent']);
});

test('a refused configuration topic is told and nothing else stops', async () => {
  FakeSocket.refusedTopics.add('clientconfig.secret');
  const { listener } = started('secret', 'web-1');
  socket(0).open();
  await settled();
  assert.deepEqual(listener.heard, ['refused secret: the router refused: wamp.error.not_authorized', 'connected']);
});

test('a page that may not hear samples says so instead of claiming to be live', async () => {
  FakeSocket.refusedTopics.add('clientstats');
  const { listener } = started();
  socket(0).open();
  await settled();
  assert.deepEqual(listener.heard, ['lost: the router refused: wamp.error.not_authorized']);
});

test('a router that fell silent is asked, and left when it does not answer', async () => {
  const { feed, listener } = started();
  socket(0).open();
  await settled();
  feed.check();
  mock.timers.tick(20_000);
  feed.check();
  assert.equal(socket(0).sent.at(-1)?.[0], 48);
  mock.timers.tick(5_000);
  await settled();
  assert.deepEqual(listener.heard.slice(0, 2), ['connected', 'lost: the router fell silent']);
});

test('a silent router that answers, with a refusal even, is kept', async () => {
  const { feed, listener } = started();
  socket(0).open();
  await settled();
  mock.timers.tick(20_000);
  feed.check();
  const [, request] = socket(0).sent.at(-1) ?? [];
  mock.timers.tick(100);
  socket(0).receive([8, 48, request, {}, 'wamp.error.no_such_procedure']);
  await settled();
  mock.timers.tick(10_000);
  await settled();
  assert.deepEqual(listener.heard, ['connected']);
});

// The official Node.js client, unchanged, against a real sluiced.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const { after, test } = require('node:test');
const { Producer, SimpleConsumer } = require('rocketmq-client-nodejs');

const TOPIC_NOT_FOUND = 40402;
const MIB = 1024 * 1024;
const endpoints = process.env.SLUICE_ENDPOINT;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const running = [];

after(async () => {
  for (const client of running) await client.shutdown();
});

async function started(client) {
  await client.startup();
  running.push(client);
  return client;
}

function createTopic(name) {
  execFileSync(process.env.SLUICE, ['topic', 'create', name]);
  return name;
}

function startProducer(topic) {
  return started(new Producer({ endpoints, namespace: '', topic, logger: silent }));
}

// A consumer of a group of its own, which polls for at most `awaitDuration` ms.
function startConsumer(topic, expression, awaitDuration = 5000) {
  return started(new SimpleConsumer({
    endpoints,
    namespace: '',
    consumerGroup: `${topic}-group`,
    subscriptions: new Map([[topic, expression]]),
    awaitDuration,
    logger: silent,
  }));
}

async function sendAll(producer, topic, tags) {
  for (const [i, tag] of tags.entries()) {
    await producer.send({ topic, tag, body: Buffer.from(`${tag}-${i}`) });
  }
}

// Receives and acks until `n` messages came; fails when a whole poll brings none.
async function receiveAll(consumer, n) {
  const got = [];
  while (got.length < n) {
    const batch = await consumer.receive(16);
    assert.notStrictEqual(batch.length, 0, `only ${got.length} of ${n} messages came`);
    for (const message of batch) await consumer.ack(message);
    got.push(...batch);
  }
  return got;
}

function bodies(messages) {
  return messages.map((message) => message.body.toString()).sort();
}

test('a sent message arrives as it was sent', async () => {
  const topic = createTopic('NodeRoundTrip');
  const producer = await startProducer(topic);
  const receipt = await producer.send({
    topic,
    tag: 'TagA',
    keys: ['key-1', 'key-2'],
    properties: new Map([['colour', 'grün'], ['size', 'XL']]),
    body: Buffer.from('Grüße, 世界'),
  });
  const consumer = await startConsumer(topic, '*');
  const [message] = await receiveAll(consumer, 1);
  assert.strictEqual(message.messageId, receipt.messageId);
  assert.strictEqual(receipt.transactionId, receipt.messageId);
  assert.strictEqual(message.topic, topic);
  assert.strictEqual(message.tag, 'TagA');
  assert.deepStrictEqual(message.keys, ['key-1', 'key-2']);
  assert.strictEqual(message.properties.get('colour'), 'grün');
  assert.strictEqual(message.properties.get('size'), 'XL');
  assert.strictEqual(message.body.toString(), 'Grüße, 世界');
  assert.strictEqual(message.deliveryAttempt, 1);
  assert.ok(!message.corrupted);
  assert.ok(message.bornTimestamp <= new Date());
});

test('a tag filter passes over what lies before and between', async () => {
  const topic = createTopic('NodeFilter');
  const producer = await startProducer(topic);
  const others = Array(100).fill('Other');
  await sendAll(producer, topic, [...others, 'TagA', 'Other', 'TagC', 'TagB', 'TagA']);
  const consumer = await startConsumer(topic, 'TagA || TagC');
  const got = await receiveAll(consumer, 3);
  assert.deepStrictEqual(bodies(got), ['TagA-100', 'TagA-104', 'TagC-102']);
  assert.deepStrictEqual(await consumer.receive(16), []);
});

test('a tag of the same hash never reaches the subscriber and does not stall it', async () => {
  const topic = createTopic('NodeCollision');
  const producer = await startProducer(topic);
  await sendAll(producer, topic, ['BB', 'BB', 'Aa', 'BB', 'Aa']);
  const consumer = await startConsumer(topic, 'Aa');
  assert.deepStrictEqual(bodies(await receiveAll(consumer, 2)), ['Aa-2', 'Aa-4']);
  assert.deepStrictEqual(await consumer.receive(16), []);
});

test('an acked message stays away and an unacked one comes again as attempt 2', async () => {
  const topic = createTopic('NodeRedelivery');
  const producer = await startProducer(topic);
  await sendAll(producer, topic, ['TagA', 'TagB']);
  const consumer = await startConsumer(topic, '*', 10000);
  const first = [];
  while (first.length < 2) {
    const batch = await consumer.receive(16, 2000);
    assert.ok(batch.every((message) => message.deliveryAttempt === 1));
    for (const message of batch) if (message.tag === 'TagA') await consumer.ack(message);
    first.push(...batch);
  }
  const [again] = await receiveAll(consumer, 1);
  assert.strictEqual(again.tag, 'TagB');
  assert.strictEqual(again.deliveryAttempt, 2);
  const lost = first.find((message) => message.tag === 'TagB');
  assert.strictEqual(again.messageId, lost.messageId);
});

test('a message handed back is seen again without waiting for its invisible time', async () => {
  const topic = createTopic('NodeHandBack');
  const producer = await startProducer(topic);
  await sendAll(producer, topic, ['TagA']);
  const consumer = await startConsumer(topic, '*', 10000);
  const [message] = await consumer.receive(1, 60000);
  const oldHandle = message.receiptHandle;
  await consumer.changeInvisibleDuration(message, 1000);
  assert.notStrictEqual(message.receiptHandle, oldHandle);
  const [again] = await receiveAll(consumer, 1);
  assert.strictEqual(again.messageId, message.messageId);
  assert.strictEqual(again.deliveryAttempt, 2);
});

test('several hundred messages each arrive once', async () => {
  const topic = createTopic('NodeMany');
  const producer = await startProducer(topic);
  const n = 300;
  await Promise.all(Array.from({ length: n }, (_, i) =>
    producer.send({ topic, tag: 'TagA', body: Buffer.from(`${i}`) })));
  const consumer = await startConsumer(topic, 'TagA');
  const got = await receiveAll(consumer, n);
  const numbers = got.map((message) => Number(message.body)).sort((a, b) => a - b);
  assert.deepStrictEqual(numbers, Array.from({ length: n }, (_, i) => i));
});

test('a waiting receive is woken by a message', async () => {
  const topic = createTopic('NodeWake');
  const producer = await startProducer(topic);
  const consumer = await startConsumer(topic, 'TagA', 20000);
  const start = Date.now();
  const waiting = consumer.receive(1);
  await sendAll(producer, topic, ['TagB', 'TagA']);
  const [message] = await waiting;
  assert.strictEqual(message.tag, 'TagA');
  assert.ok(Date.now() - start < 10000);
  await consumer.ack(message);
});

test('a body of 4 MiB is accepted and one of 3 MiB arrives whole', async () => {
  const topic = createTopic('NodeBig');
  const producer = await startProducer(topic);
  const body = Buffer.alloc(4 * MIB, 'sluice ');
  await producer.send({ topic, tag: 'Full', body });
  await producer.send({ topic, tag: 'TagA', body: body.subarray(0, 3 * MIB) });
  // This client's gRPC library takes 4 MiB a message and no more, so the full one is filtered out.
  const consumer = await startConsumer(topic, 'TagA');
  const [message] = await receiveAll(consumer, 1);
  assert.ok(message.body.equals(body.subarray(0, 3 * MIB)));
  assert.ok(!message.corrupted);
});

test('an unknown topic is not found, at the start and at a send', async () => {
  const producer = new Producer({ endpoints, namespace: '', topic: 'NodeNone', logger: silent });
  const error = await producer.startup().catch((e) => e);
  await producer.shutdown();
  assert.strictEqual(error.cause.cause.code, TOPIC_NOT_FOUND);

  const other = await startProducer(createTopic('NodeSome'));
  await assert.rejects(other.send({ topic: 'NodeNone', body: Buffer.from('x') }),
    (e) => e.name === 'NotFoundException' && e.code === TOPIC_NOT_FOUND);
});

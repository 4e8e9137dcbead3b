// What a team does all day with a producer and a simple consumer.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const assert = require('node:assert');
const { Producer } = require('rocketmq-client-nodejs');
const {
  INVISIBLE, common, createTopic, expectBodies, receiveAll, sendTags, startConsumer, startProducer,
  takeOne,
} = require('./client');

const TOPIC_NOT_FOUND = 40402;
const MIB = 1024 * 1024;

async function sendOne() {
  const topic = await createTopic('Send');
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
  assert.ok(message.bornTimestamp <= new Date());
}

async function sendMany() {
  const topic = await createTopic('SendMany');
  const tags = Array(300).fill('TagA');
  await sendTags(topic, tags);
  await expectBodies(topic, 'TagA', tags.map((tag, i) => `${tag}-${i}`));
}

async function sendAsync() {
  const topic = await createTopic('SendAsync');
  const producer = await startProducer(topic);
  const want = Array.from({ length: 100 }, (_, i) => `body-${i}`);
  await Promise.all(want.map((body) => producer.send({ topic, body: Buffer.from(body) })));
  await expectBodies(topic, '*', want);
}

async function bigBody() {
  const topic = await createTopic('BigBody');
  const producer = await startProducer(topic);
  const body = Buffer.alloc(4 * MIB, 'sluice ');
  await producer.send({ topic, tag: 'Full', body });
  await producer.send({ topic, tag: 'TagA', body: body.subarray(0, 3 * MIB) });
  const consumer = await startConsumer(topic, 'TagA');
  const [message] = await receiveAll(consumer, 1);
  assert.ok(message.body.equals(body.subarray(0, 3 * MIB)));
  return 'sends 4 MiB, receives 3: its gRPC library takes no message of more than 4 MiB';
}

async function digest() {
  const topic = await createTopic('Digest');
  const producer = await startProducer(topic);
  for (const body of ['123456789', 'digest-27']) {
    await producer.send({ topic, tag: 'TagA', body: Buffer.from(body) });
  }
  const consumer = await startConsumer(topic, '*');
  for (const message of await receiveAll(consumer, 2)) {
    assert.ok(!message.corrupted, `'${message.body}' is called corrupted`);
  }
}

async function tagFilter() {
  const others = Array(100).fill('Other');
  await sendTags(await createTopic('TagFilter'),
    [...others, 'TagA', 'Other', 'TagC', 'TagB', 'TagA']);
  await expectBodies('TagFilter', 'TagA || TagC', ['TagA-100', 'TagC-102', 'TagA-104']);
}

// These two tags have one hash.
async function tagCollision() {
  await sendTags(await createTopic('TagCollision'), ['BB', 'BB', 'Aa', 'BB', 'Aa']);
  await expectBodies('TagCollision', 'Aa', ['Aa-2', 'Aa-4']);
}

async function longPoll() {
  const topic = await createTopic('LongPoll');
  const consumer = await startConsumer(topic, 'TagA');
  const start = Date.now();
  assert.deepStrictEqual(await consumer.receive(16, INVISIBLE), []);
  assert.ok(Date.now() - start > 4000, 'an empty receive ended early');
  const waiting = consumer.receive(16, INVISIBLE);
  await sendTags(topic, ['TagB', 'TagA']);
  const [message] = await waiting;
  assert.strictEqual(message?.tag, 'TagA');
  await consumer.ack(message);
}

async function expectAgain(consumer, before) {
  const [again] = await receiveAll(consumer, 1);
  assert.strictEqual(again.messageId, before.messageId);
  assert.strictEqual(again.deliveryAttempt, 2);
}

async function redelivery() {
  const topic = await createTopic('Redelivery');
  await sendTags(topic, ['TagA']);
  const consumer = await startConsumer(topic, '*');
  await expectAgain(consumer, await takeOne(consumer, 2000));
  assert.deepStrictEqual(await consumer.receive(16, INVISIBLE), []);
}

async function handBack() {
  const topic = await createTopic('HandBack');
  await sendTags(topic, ['TagA']);
  const consumer = await startConsumer(topic, '*');
  const message = await takeOne(consumer, 300000);
  const oldHandle = message.receiptHandle;
  await consumer.changeInvisibleDuration(message, 1000);
  assert.notStrictEqual(message.receiptHandle, oldHandle);
  await expectAgain(consumer, message);
}

async function unknownTopic() {
  const producer = new Producer({ ...common, topic: 'None' });
  const error = await producer.startup().catch((e) => e);
  assert.strictEqual(error?.cause?.cause?.code, TOPIC_NOT_FOUND);
  await producer.shutdown();
  const other = await startProducer(await createTopic('Some'));
  await assert.rejects(other.send({ topic: 'None', body: Buffer.from('x') }),
    (e) => e.name === 'NotFoundException' && e.code === TOPIC_NOT_FOUND);
}

// A consumer ends with a message in its hands; the next one of the group gets it.
async function clientRestart() {
  const topic = await createTopic('ClientRestart');
  await sendTags(topic, ['TagA']);
  await sendTags(topic, ['TagB']);
  const first = await startConsumer(topic, '*');
  const held = await takeOne(first, 2000);
  await first.shutdown();
  const second = await startConsumer(topic, '*');
  const again = (await receiveAll(second, 2)).find((m) => m.messageId === held.messageId);
  assert.strictEqual(again?.deliveryAttempt, 2);
}

module.exports = {
  bigBody, clientRestart, digest, handBack, longPoll, redelivery, sendAsync, sendMany, sendOne,
  tagCollision, tagFilter, unknownTopic,
};

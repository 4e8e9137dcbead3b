// Producers and consumers as the behaviours need them.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const { ConsumeResult, Producer, PushConsumer, SimpleConsumer } = require('rocketmq-client-nodejs');

const PATIENCE = 40000;
const INVISIBLE = 30000;
const endpoints = process.env.SLUICE_ENDPOINT;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const common = { endpoints, namespace: '', logger: silent };
const run = promisify(execFile);

function sluice(...words) {
  return run(process.env.SLUICE, words);
}

async function createTopic(name, ...options) {
  await sluice('topic', 'create', name, ...options);
  return name;
}

async function started(client) {
  await client.startup();
  return client;
}

function startProducer(topic) {
  return started(new Producer({ ...common, topic }));
}

// A consumer of the topic's own group, which polls for at most `awaitDuration` ms.
function startConsumer(topic, expression, { group = `${topic}-group`, awaitDuration = 5000 } = {}) {
  return started(new SimpleConsumer({
    ...common,
    consumerGroup: group,
    subscriptions: new Map([[topic, expression]]),
    awaitDuration,
  }));
}

// `consume` says of each message whether it is done with it.
function startPush(topic, consume, group = `${topic}-group`) {
  const listen = async (message) =>
    ((await consume(message)) ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE);
  return started(new PushConsumer({
    ...common,
    consumerGroup: group,
    subscriptions: new Map([[topic, '*']]),
    messageListener: { consume: listen },
  }));
}

// Sends one message for each tag; its body is the tag and its number.
async function sendTags(topic, tags) {
  const producer = await startProducer(topic);
  for (const [i, tag] of tags.entries()) {
    await producer.send({ topic, tag, body: Buffer.from(`${tag}-${i}`) });
  }
  await producer.shutdown();
}

async function sendUntilAccepted(producer, topic, body) {
  for (const end = Date.now() + PATIENCE; ;) {
    try {
      return await producer.send({ topic, tag: 'TagA', body: Buffer.from(body) });
    } catch (e) {
      if (Date.now() > end) throw e;
      await sleep(100);
    }
  }
}

// Waits until the condition holds.
async function until(condition, otherwise) {
  for (const end = Date.now() + PATIENCE; !condition(); await sleep(20)) {
    if (Date.now() > end) throw new Error(otherwise());
  }
}

// Receives and acks until `n` messages came.
async function receiveAll(consumer, n) {
  const got = [];
  for (const end = Date.now() + PATIENCE; got.length < n;) {
    assert.ok(Date.now() < end, `only ${got.length} of ${n} messages came`);
    for (const message of await consumer.receive(16, INVISIBLE)) {
      await consumer.ack(message);
      got.push(message);
    }
  }
  return got;
}

// Receives one message without acking it.
async function takeOne(consumer, invisible) {
  for (const end = Date.now() + PATIENCE; Date.now() < end;) {
    const [message] = await consumer.receive(1, invisible);
    if (message) return message;
  }
  throw new Error('no message came');
}

function bodies(messages) {
  return messages.map((message) => message.body.toString()).sort();
}

// What a consumer of the topic's group gets: exactly these bodies, in any order.
async function expectBodies(topic, expression, want) {
  const consumer = await startConsumer(topic, expression);
  const got = await receiveAll(consumer, want.length);
  got.push(...await consumer.receive(16, INVISIBLE));
  assert.deepStrictEqual(bodies(got), [...want].sort());
  await consumer.shutdown();
}

module.exports = {
  INVISIBLE, bodies, common, createTopic, expectBodies, receiveAll, sendTags, sendUntilAccepted,
  sleep, sluice, startConsumer, startProducer, startPush, takeOne, until,
};

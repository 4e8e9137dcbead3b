// Push consumers: in order or not, slow, refusing until the message is a dead letter.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const assert = require('node:assert');
const {
  createTopic, receiveAll, sendTags, sleep, sluice, startConsumer, startProducer, startPush, until,
} = require('./client');

// A listener that notes each body with its attempt, and refuses `bad` as often as it is told to.
function noting(bad, times = Infinity) {
  const deliveries = [];
  const listen = (message) => {
    const text = message.body.toString();
    deliveries.push(`${text}/${message.deliveryAttempt}`);
    return text !== bad || deliveries.filter((d) => d.startsWith(`${bad}/`)).length > times;
  };
  return { deliveries, listen };
}

function arrived(deliveries, n) {
  return until(() => deliveries.length >= n, () => `of ${n} deliveries came ${deliveries}`);
}

async function push() {
  const topic = await createTopic('Push');
  const tags = Array(100).fill('TagA');
  await sendTags(topic, tags);
  const { deliveries, listen } = noting();
  const consumer = await startPush(topic, listen);
  await sendTags(topic, ['Late']);
  await arrived(deliveries, 101);
  await consumer.shutdown();
  const want = [...tags.map((tag, i) => `${tag}-${i}/1`), 'Late-0/1'];
  assert.deepStrictEqual(deliveries.sort(), want.sort());
}

async function sendInOrder(topic, bodies) {
  const producer = await startProducer(topic);
  for (const body of bodies) {
    await producer.send({ topic, messageGroup: 'order', body: Buffer.from(body) });
  }
}

async function pushFifo() {
  const topic = await createTopic('PushFifo', '--type', 'FIFO');
  await sluice('group', 'create', 'PushFifo-group', '--fifo');
  const bodies = Array.from({ length: 50 }, (_, i) => `body-${i}`);
  await sendInOrder(topic, bodies);
  const { deliveries, listen } = noting();
  const consumer = await startPush(topic, listen);
  await arrived(deliveries, bodies.length);
  await consumer.shutdown();
  assert.deepStrictEqual(deliveries, bodies.map((body) => `${body}/1`));
}

// This client reads no list of waiting times, so it hands back what is refused at once.
async function pushRetry() {
  const topic = await createTopic('PushRetry');
  await sendTags(topic, ['Bad']);
  const { deliveries, listen } = noting('Bad-0', 2);
  const consumer = await startPush(topic, listen);
  await arrived(deliveries, 3);
  await consumer.shutdown();
  assert.deepStrictEqual(deliveries, ['Bad-0/1', 'Bad-0/2', 'Bad-0/3']);
  return 'tries again at once: it does not read the list of times that a group waits';
}

// The broker hides messages for six seconds at a time.
async function autoRenew() {
  const topic = await createTopic('AutoRenew');
  await sendTags(topic, ['Slow']);
  const { deliveries, listen } = noting();
  let done = false;
  const consumer = await startPush(topic, async (message) => {
    listen(message);
    await sleep(15000);
    done = true;
    return true;
  });
  await until(() => done, () => 'the message did not come');
  await consumer.shutdown();
  const next = await startConsumer(topic, '*');
  assert.deepStrictEqual(await next.receive(16, 1000), []);
  assert.deepStrictEqual(deliveries, ['Slow-0/1']);
}

// The dead-letter topic is there from its first message on.
async function expectDeadLetter(group, body) {
  let consumer;
  for (let i = 0; !consumer; i++) {
    consumer = await startConsumer(`%DLQ%${group}`, '*', { group: `${group}-dead` })
      .catch((e) => assert.ok(i < 10, `no dead-letter topic: ${e}`));
  }
  const [got] = await receiveAll(consumer, 1);
  assert.strictEqual(got.body.toString(), body);
}

async function deadLetter() {
  const topic = await createTopic('DeadLetter');
  await sluice('group', 'create', 'DeadLetter-group', '--max-attempts', '2');
  await sendTags(topic, ['Bad', 'Good']);
  const { deliveries, listen } = noting('Bad-0');
  const consumer = await startPush(topic, listen);
  await expectDeadLetter('DeadLetter-group', 'Bad-0');
  await consumer.shutdown();
  assert.deepStrictEqual(deliveries.sort(), ['Bad-0/1', 'Bad-0/2', 'Good-1/1']);
}

async function fifoDeadLetter() {
  const topic = await createTopic('FifoDeadLetter', '--type', 'FIFO');
  await sluice('group', 'create', 'FifoDeadLetter-group', '--fifo', '--max-attempts', '2');
  await sendInOrder(topic, ['a', 'b', 'c']);
  const { deliveries, listen } = noting('b');
  const consumer = await startPush(topic, listen);
  await arrived(deliveries, 3);
  await expectDeadLetter('FifoDeadLetter-group', 'b');
  await consumer.shutdown();
  assert.deepStrictEqual(deliveries, ['a/1', 'b/1', 'c/1']);
  return 'in order it gives up at the first refusal: it does not read a group\'s attempts there';
}

module.exports = { autoRenew, deadLetter, fifoDeadLetter, push, pushFifo, pushRetry };

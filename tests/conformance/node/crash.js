// Consumers that come and go, and a broker that is stopped or killed under all of them.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const assert = require('node:assert');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const {
  createTopic, sendUntilAccepted, sleep, startConsumer, startProducer, startPush, until,
} = require('./client');

const brokerDo = (word) => promisify(execFile)(process.env.SLUICE_RESTART, [word]);

// Sends numbered bodies until it is stopped, and knows which were tried and which accepted.
class Sender {
  constructor(producer, topic) {
    this.tried = new Set();
    this.accepted = new Set();
    this.ended = this.#send(producer, topic);
  }

  async #send(producer, topic) {
    for (let i = 0; !this.stopping; i++) {
      const body = `${i}`;
      this.tried.add(body);
      await producer.send({ topic, body: Buffer.from(body) })
        .then(() => this.accepted.add(body), () => {});
      await sleep(5);
    }
  }

  stop() {
    this.stopping = true;
    return this.ended;
  }

  lacking(seen) {
    return [...this.accepted].filter((body) => !seen.has(body));
  }
}

function count(seen, message) {
  const body = message.body.toString();
  seen.set(body, (seen.get(body) ?? 0) + 1);
  return seen.get(body);
}

// Waits until all that was accepted was seen, and nothing else was.
async function expectAll(sender, seen, who) {
  await until(() => sender.lacking(seen).length === 0,
    () => `${who}: lost ${sender.lacking(seen)} of ${sender.accepted.size}`);
  const strange = [...seen.keys()].filter((body) => !sender.tried.has(body));
  assert.deepStrictEqual(strange, [], who);
}

async function groupChurn() {
  const topic = await createTopic('GroupChurn');
  const sender = new Sender(await startProducer(topic), topic);
  const seen = new Map();
  let last;
  for (let i = 0; i < 4; i++) {
    let n = 0;
    const next = await startPush(topic, (message) => count(seen, message) && ++n > 0);
    await until(() => n > 0, () => `consumer ${i} was given nothing`);
    await last?.shutdown();
    last = next;
  }
  await sender.stop();
  await expectAll(sender, seen, 'the group');
  await last.shutdown();
}

async function brokerRestart() {
  const topic = await createTopic('BrokerRestart');
  const producer = await startProducer(topic);
  const got = [];
  await startPush(topic, (message) => got.push(message.body.toString()) > 0);
  for (const body of ['before', 'after']) {
    await sendUntilAccepted(producer, topic, body);
    await until(() => got.includes(body), () => `'${body}' did not come`);
    if (body === 'before') await brokerDo('restart');
  }
  assert.deepStrictEqual(got, ['before', 'after']);
}

// Every tenth message is not done with until it comes again.
const isDone = (message, times) => times > 1 || !message.body.toString().endsWith('7');

function isLeft(seen) {
  return [...seen.keys()].filter((body) => body.endsWith('7') && seen.get(body) < 2);
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

async function receiveAndAck(consumer, seen, isOver) {
  while (!isOver()) {
    try {
      for (const message of await consumer.receive(32, 2000)) {
        if (isDone(message, count(seen, message))) await consumer.ack(message);
      }
    } catch {
      await sleep(50);
    }
  }
}

async function brokerKill() {
  const topic = await createTopic('BrokerKill');
  const kills = Number(process.env.SLUICE_KILLS ?? 2);
  const simple = new Map();
  const pushed = new Map();
  let over = false;
  const sender = new Sender(await startProducer(topic), topic);
  const consumer = await startConsumer(topic, '*', { group: 'BrokerKill-simple' });
  const receiving = receiveAndAck(consumer, simple, () => over);
  await startPush(topic, (message) => isDone(message, count(pushed, message)), 'BrokerKill-push');
  for (let i = 0; i <= kills; i++) {
    const goals = [simple, pushed, sender.accepted].map((set) => [set, set.size + 100]);
    await until(() => goals.every(([set, size]) => set.size >= size),
      () => `after ${i} kills nothing goes on: ${goals.map(([set]) => set.size)}`);
    if (i < kills) await brokerDo('kill');
  }
  await sender.stop();
  await expectAll(sender, simple, 'the simple consumer');
  await expectAll(sender, pushed, 'the push consumer');
  await until(() => isLeft(simple).length + isLeft(pushed).length === 0,
    () => `un-acked and gone: ${isLeft(simple)} and ${isLeft(pushed)}`);
  over = true;
  await receiving;
  const seen = [simple, pushed];
  const n = sum(seen.flatMap((each) => [...each.values()]));
  console.log(`# broker-kill: ${kills} kills; ${sender.tried.size} sent, ${sender.accepted.size} `
    + `accepted; ${n} deliveries, ${n - sum(seen.map((each) => each.size))} of them again`);
}

module.exports = { brokerKill, brokerRestart, groupChurn };

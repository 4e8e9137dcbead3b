// The official Node.js client, unchanged, against a real sluiced: one line for each behaviour.
// SPDX-License-Identifier: Apache-2.0
'use strict';

const behaviours = require('./behaviours');
const crash = require('./crash');
const push = require('./push');

// These run side by side; the last ones alone, since they stop the broker under all clients.
const together = {
  send: behaviours.sendOne,
  'send-many': behaviours.sendMany,
  'send-async': behaviours.sendAsync,
  'big-body': behaviours.bigBody,
  digest: behaviours.digest,
  'tag-filter': behaviours.tagFilter,
  'tag-collision': behaviours.tagCollision,
  'long-poll': behaviours.longPoll,
  redelivery: behaviours.redelivery,
  'hand-back': behaviours.handBack,
  'unknown-topic': behaviours.unknownTopic,
  'client-restart': behaviours.clientRestart,
  push: push.push,
  'push-fifo': push.pushFifo,
  'push-retry': push.pushRetry,
  'auto-renew': push.autoRenew,
  'dead-letter': push.deadLetter,
  'fifo-dead-letter': push.fifoDeadLetter,
  'group-churn': crash.groupChurn,
};
const alone = { 'broker-restart': crash.brokerRestart, 'broker-kill': crash.brokerKill };

const only = (process.env.SLUICE_ONLY ?? '').split(' ').filter((name) => name);
const wanted = (name) => only.length === 0 || only.includes(name);

let passed = true;

async function report([name, behaviour]) {
  if (!wanted(name)) return;
  try {
    const remark = await behaviour();
    console.log(`ok ${name}${remark ? `: ${remark}` : ''}`);
  } catch (e) {
    passed = false;
    console.log(`not ok ${name}: ${String(e?.message ?? e).replace(/\s+/g, ' ')}`);
  }
}

async function main() {
  if (wanted('send-batch')) console.log('none send-batch: its send takes one message');
  await Promise.all(Object.entries(together).map(report));
  for (const each of Object.entries(alone)) await report(each);
  process.exit(passed ? 0 : 1); // the clients that are left open would keep it running
}

main();

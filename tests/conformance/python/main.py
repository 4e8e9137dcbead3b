"""The official Python client, unchanged, against a real sluiced: one line for each behaviour."""
# SPDX-License-Identifier: Apache-2.0

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import behaviours
import crash
import push

# These run side by side; the last ones alone, since they stop the broker under all clients.
TOGETHER = {
    "send": behaviours.send_one,
    "send-many": behaviours.send_many,
    "send-async": behaviours.send_async,
    "big-body": behaviours.big_body,
    "digest": behaviours.digest,
    "tag-filter": behaviours.tag_filter,
    "tag-collision": behaviours.tag_collision,
    "long-poll": behaviours.long_poll,
    "redelivery": behaviours.redelivery,
    "hand-back": behaviours.hand_back,
    "unknown-topic": behaviours.unknown_topic,
    "client-restart": behaviours.client_restart,
    "push": push.push,
    "push-fifo": push.push_fifo,
    "push-retry": push.push_retry,
    "auto-renew": push.auto_renew,
    "dead-letter": push.dead_letter,
    "fifo-dead-letter": push.fifo_dead_letter,
    "group-churn": crash.group_churn,
}
ALONE = {"broker-restart": crash.broker_restart, "broker-kill": crash.broker_kill}


def report(name, behaviour):
    try:
        behaviour()
        print(f"ok {name}", flush=True)
        return True
    except Exception as error:  # whatever it is, it is the behaviour's failure
        print(f"not ok {name}: {' '.join(f'{error!r}'.split())}", flush=True)
        return False


def main():
    only = os.environ.get("SLUICE_ONLY", "").split()
    wanted = lambda name: not only or name in only
    if wanted("send-batch"):
        print("none send-batch: its send takes one message", flush=True)
    with ThreadPoolExecutor(len(TOGETHER)) as workers:
        running = [workers.submit(report, *each) for each in TOGETHER.items() if wanted(each[0])]
        passed = all([each.result() for each in running])
    for each in ALONE.items():
        passed &= not wanted(each[0]) or report(*each)
    sys.stdout.flush()
    os._exit(0 if passed else 1)  # threads of this client that are waiting would keep it running


main()

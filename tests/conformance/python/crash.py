"""Consumers that come and go, and a broker that is stopped or killed under all of them."""
# SPDX-License-Identifier: Apache-2.0

import os
import threading
import time

from client import (broker, create_topic, expect, message_of, send_until_accepted, start_consumer,
                    start_producer, start_push, until)


class Sender:
    """Sends numbered bodies until it is stopped; knows which were tried and which accepted."""

    def __init__(self, producer, topic):
        self.tried = set()
        self.accepted = set()
        self.stopping = False
        self.thread = threading.Thread(target=self.send, args=(producer, topic))
        self.thread.start()

    def send(self, producer, topic):
        while not self.stopping:
            body = str(len(self.tried))
            self.tried.add(body)
            try:
                producer.send(message_of(topic, "TagA", body))
                self.accepted.add(body)
            except Exception:  # this client has no type for all of them
                pass
            time.sleep(0.005)

    def stop(self):
        self.stopping = True
        self.thread.join()

    def lacking(self, seen):
        return self.accepted - seen.bodies()


class Seen:
    """How often each body came."""

    def __init__(self):
        self.times = {}
        self.lock = threading.Lock()

    def count(self, message):
        body = message.body.decode()
        with self.lock:
            self.times[body] = self.times.get(body, 0) + 1
            return self.times[body]

    def bodies(self):
        with self.lock:
            return set(self.times)

    def is_done(self, message):
        """Every tenth message is not done with until it comes again."""
        return self.count(message) > 1 or not message.body.endswith(b"7")

    def left(self):
        with self.lock:
            return [body for body, n in self.times.items() if n < 2 and body.endswith("7")]


def expect_all(sender, seen, who):
    """Waits until all that was accepted was seen, and nothing else was."""
    until(lambda: not sender.lacking(seen),
          lambda: f"{who}: lost {sender.lacking(seen)} of {len(sender.accepted)}")
    strange = seen.bodies() - sender.tried
    expect(not strange, f"{who}: nobody sent {strange}")


def group_churn():
    topic = create_topic("GroupChurn")
    sender = Sender(start_producer(topic), topic)
    seen = Seen()
    last = None
    try:
        for i in range(4):
            own = Seen()
            next_one = start_push(topic, lambda m, own=own: seen.count(m) and own.count(m))
            until(own.bodies, lambda i=i: f"consumer {i} was given nothing")
            if last:
                last.shutdown()
            last = next_one
    finally:
        sender.stop()
    expect_all(sender, seen, "the group")


def broker_restart():
    topic = create_topic("BrokerRestart")
    producer = start_producer(topic)
    seen = Seen()
    start_push(topic, seen.count)
    for body in ("before", "after"):
        send_until_accepted(producer, topic, body)
        until(lambda body=body: body in seen.bodies(), lambda body=body: f"no '{body}' came")
        if body == "before":
            broker("restart")
    expect(seen.times == {"before": 1, "after": 1}, f"got {seen.times}")


def receive_and_ack(consumer, seen, over):
    while not over.is_set():
        try:
            for message in consumer.receive(32, 2):
                if seen.is_done(message):
                    consumer.ack(message)
        except Exception:  # this client has no type for all of them
            time.sleep(0.05)


def broker_kill():
    topic = create_topic("BrokerKill")
    kills = int(os.environ.get("SLUICE_KILLS", "2"))
    simple, pushed, over = Seen(), Seen(), threading.Event()
    sender = Sender(start_producer(topic), topic)
    consumer = start_consumer(topic, "*", group="BrokerKill-simple")
    start_push(topic, pushed.is_done, group="BrokerKill-push")
    threading.Thread(target=receive_and_ack, args=(consumer, simple, over)).start()
    try:
        for i in range(kills + 1):
            sizes = lambda: [len(simple.bodies()), len(pushed.bodies()), len(sender.accepted)]
            goals = [size + 100 for size in sizes()]
            until(lambda: all(size >= goal for size, goal in zip(sizes(), goals)),
                  lambda: f"after {i} kills nothing goes on: {sizes()}, not {goals}")
            if i < kills:
                broker("kill")
    finally:
        sender.stop()
    expect_all(sender, simple, "the simple consumer")
    expect_all(sender, pushed, "the push consumer")
    until(lambda: not simple.left() and not pushed.left(),
          lambda: f"un-acked and gone: {simple.left()} and {pushed.left()}")
    over.set()
    n = sum(simple.times.values()) + sum(pushed.times.values())
    again = n - len(simple.times) - len(pushed.times)
    print(f"# broker-kill: {kills} kills; {len(sender.tried)} sent, {len(sender.accepted)} "
          f"accepted; {n} deliveries, {again} of them again")

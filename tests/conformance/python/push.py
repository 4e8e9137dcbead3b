"""Push consumers: in order or not, slow, refusing until the message is a dead letter."""
# SPDX-License-Identifier: Apache-2.0

import time

from client import (create_topic, expect, expect_same, message_of, receive_all, send_tags, sluice,
                    start_consumer, start_producer, start_push, until)


class Noting:
    """Notes each body with its attempt and time, and refuses `bad`, `times` times."""

    def __init__(self, bad=None, times=1000):
        self.bad = bad
        self.times = times
        self.deliveries = []
        self.at = []

    def __call__(self, message):
        body = message.body.decode()
        self.at.append(time.monotonic())
        self.deliveries.append(f"{body}/{message.delivery_attempt}")
        n_before = sum(each.startswith(f"{self.bad}/") for each in self.deliveries[:-1])
        return body != self.bad or n_before >= self.times

    def wait_for(self, n):
        until(lambda: len(self.deliveries) >= n, lambda: f"of {n} came only {self.deliveries}")


def push():
    topic = create_topic("Push")
    send_tags(topic, ["TagA"] * 100)
    noting = Noting()
    start_push(topic, noting)
    send_tags(topic, ["Late"])
    noting.wait_for(101)
    expect_same([f"TagA-{i}/1" for i in range(100)] + ["Late-0/1"], noting.deliveries)


def send_in_order(topic, bodies):
    producer = start_producer(topic)
    for body in bodies:
        message = message_of(topic, "TagA", body)
        message.message_group = "order"
        producer.send(message)


def push_fifo():
    topic = create_topic("PushFifo", "--type", "FIFO")
    sluice("group", "create", "PushFifo-group", "--fifo")
    bodies = [f"body-{i}" for i in range(50)]
    send_in_order(topic, bodies)
    noting = Noting()
    start_push(topic, noting)
    noting.wait_for(len(bodies))
    want = [f"{body}/1" for body in bodies]
    expect(noting.deliveries == want, f"got {noting.deliveries}")


def push_retry():
    """A group waits one second before the second attempt, and five before the third."""
    topic = create_topic("PushRetry")
    send_tags(topic, ["Bad"])
    noting = Noting("Bad-0", times=2)
    start_push(topic, noting)
    noting.wait_for(3)
    expect(noting.deliveries == ["Bad-0/1", "Bad-0/2", "Bad-0/3"], f"got {noting.deliveries}")
    waits = [later - sooner for sooner, later in zip(noting.at, noting.at[1:])]
    expect(waits[0] >= 1 and waits[1] >= 5, f"it waited {waits} s")


def auto_renew():
    """The broker hides messages for six seconds at a time."""
    topic = create_topic("AutoRenew")
    send_tags(topic, ["Slow"])
    noting = Noting()
    ended = []

    def be_slow(message):
        noting(message)
        time.sleep(15)
        ended.append(message)
        return True

    start_push(topic, be_slow)
    until(lambda: ended, lambda: "the message did not come")
    more = start_consumer(topic, "*").receive(16, 1)
    expect(not more and noting.deliveries == ["Slow-0/1"], f"{noting.deliveries}, then {more}")


def start_on_dead_letters(group):
    """The dead-letter topic is there from its first message on."""
    consumers = []

    def try_start():
        try:
            consumer = start_consumer(f"%DLQ%{group}", "*", group=f"{group}-dead")
            consumer.receive(1, 1)  # only now does this client tell that there is no route
            consumers.append(consumer)
        except Exception:  # it has no type
            time.sleep(1)
        return consumers

    until(try_start, lambda: "no dead-letter topic")
    return consumers[0]


def expect_dead_letter(group, body):
    got = receive_all(start_on_dead_letters(group), 1)[0]
    expect(got.body.decode() == body, f"the dead letter is {got.body}")


def dead_letter():
    topic = create_topic("DeadLetter")
    sluice("group", "create", "DeadLetter-group", "--max-attempts", "2")
    send_tags(topic, ["Bad", "Good"])
    noting = Noting("Bad-0")
    start_push(topic, noting)
    expect_dead_letter("DeadLetter-group", "Bad-0")
    expect_same(["Bad-0/1", "Bad-0/2", "Good-1/1"], noting.deliveries)


def fifo_dead_letter():
    """In order, this client tries again by itself and does not count in the message."""
    topic = create_topic("FifoDeadLetter", "--type", "FIFO")
    sluice("group", "create", "FifoDeadLetter-group", "--fifo", "--max-attempts", "2")
    send_in_order(topic, ["a", "b", "c"])
    noting = Noting("b")
    start_push(topic, noting)
    noting.wait_for(4)
    expect(noting.deliveries == ["a/1", "b/1", "b/1", "c/1"], f"got {noting.deliveries}")
    expect_dead_letter("FifoDeadLetter-group", "b")

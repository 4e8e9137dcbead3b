"""Producers and consumers as the behaviours need them."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import time

from rocketmq import (ClientConfiguration, ConsumeResult, Credentials, FilterExpression, Message,
                      MessageListener, Producer, PushConsumer, SimpleConsumer)

PATIENCE = 40
INVISIBLE = 30


def expect(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def expect_same(want, got):
    expect(sorted(want) == sorted(got), f"got {sorted(got)}, not {sorted(want)}")


def until(condition, otherwise):
    """Waits until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < end, otherwise())
        time.sleep(0.02)


def configuration():
    return ClientConfiguration(os.environ["SLUICE_ENDPOINT"], Credentials())


def sluice(*words):
    subprocess.run([os.environ["SLUICE"], *words], check=True, stdout=subprocess.DEVNULL)


def broker(word):
    subprocess.run([os.environ["SLUICE_RESTART"], word], check=True)


def create_topic(name, *options):
    sluice("topic", "create", name, *options)
    return name


def started(client):
    client.startup()
    return client


def start_producer(topic):
    return started(Producer(configuration(), (topic,)))


def start_consumer(topic, expression, group=None, await_seconds=5):
    """A consumer of the topic's own group, or another."""
    return started(SimpleConsumer(configuration(), group or f"{topic}-group",
                                  {topic: FilterExpression(expression)},
                                  await_duration=await_seconds))


class Listener(MessageListener):
    """Asks `is_done` about each message."""

    def __init__(self, is_done):
        self.is_done = is_done

    def consume(self, message):
        return ConsumeResult.SUCCESS if self.is_done(message) else ConsumeResult.FAILURE


def start_push(topic, is_done, group=None):
    return started(PushConsumer(configuration(), group or f"{topic}-group", Listener(is_done),
                                {topic: FilterExpression("*")}))


def message_of(topic, tag, body):
    message = Message()
    message.topic = topic
    message.tag = tag
    message.body = body.encode() if isinstance(body, str) else body
    return message


def send_tags(topic, tags):
    """Sends one message for each tag; its body is the tag and its number."""
    producer = start_producer(topic)
    for i, tag in enumerate(tags):
        producer.send(message_of(topic, tag, f"{tag}-{i}"))
    producer.shutdown()


def send_until_accepted(producer, topic, body):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return producer.send(message_of(topic, "TagA", body))
        except Exception as error:  # this client has no type for all of them
            expect(time.monotonic() < end, f"no send is accepted: {error}")
            time.sleep(0.1)


def receive_all(consumer, n):
    """Receives and acks until `n` messages came."""
    got = []
    end = time.monotonic() + PATIENCE
    while len(got) < n:
        expect(time.monotonic() < end, f"only {len(got)} of {n} messages came")
        for message in consumer.receive(16, INVISIBLE):
            consumer.ack(message)
            got.append(message)
    return got


def take_one(consumer, invisible):
    """Receives one message without acking it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        got = consumer.receive(1, invisible)
        if got:
            return got[0]
    raise AssertionError("no message came")


def expect_bodies(topic, expression, want):
    """What a consumer of the topic's group gets: exactly these bodies, in any order."""
    consumer = start_consumer(topic, expression)
    got = receive_all(consumer, len(want)) + consumer.receive(16, INVISIBLE)
    expect_same(want, [message.body.decode() for message in got])
    consumer.shutdown()

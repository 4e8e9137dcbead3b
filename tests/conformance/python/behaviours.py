"""What a team does all day with a producer and a simple consumer."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

from client import (INVISIBLE, PATIENCE, create_topic, expect, expect_bodies, message_of,
                    receive_all, send_tags, sluice, start_consumer, start_producer, take_one)
from rocketmq.v5.exception import NotFoundException

TOPIC_NOT_FOUND = 40402
MIB = 1024 * 1024


def send_one():
    topic = create_topic("Send")
    message = message_of(topic, "TagA", "Grüße, 世界")
    message.keys = "key-1"
    message.add_property("colour", "grün")
    receipt = start_producer(topic).send(message)
    got = receive_all(start_consumer(topic, "*"), 1)[0]
    same = (got.message_id == receipt.message_id and got.topic == topic and got.tag == "TagA"
            and got.keys == {"key-1"} and got.properties["colour"] == "grün"
            and got.body.decode() == "Grüße, 世界" and got.delivery_attempt == 1)
    expect(same, f"sent {message}, got {got}")


def send_many():
    topic = create_topic("SendMany")
    send_tags(topic, ["TagA"] * 300)
    expect_bodies(topic, "TagA", [f"TagA-{i}" for i in range(300)])


def send_async():
    topic = create_topic("SendAsync")
    producer = start_producer(topic)
    bodies = [f"body-{i}" for i in range(100)]
    answers = [producer.send_async(message_of(topic, "TagA", body)) for body in bodies]
    for answer in answers:
        answer.result(PATIENCE)
    expect_bodies(topic, "*", bodies)


def big_body():
    topic = create_topic("BigBody")
    body = b"sluice64" * (4 * MIB // 8)
    start_producer(topic).send(message_of(topic, "TagA", body))
    got = receive_all(start_consumer(topic, "*"), 1)[0]
    expect(got.body == body, "the body is not the one sent")


def digest():
    topic = create_topic("Digest")
    producer = start_producer(topic)
    for body in ("123456789", "digest-27"):
        producer.send(message_of(topic, "TagA", body))
    for message in receive_all(start_consumer(topic, "*"), 2):
        expect(not message.corrupted, f"{message.body} is called corrupted")


def tag_filter():
    topic = create_topic("TagFilter")
    send_tags(topic, ["Other"] * 100 + ["TagA", "Other", "TagC", "TagB", "TagA"])
    expect_bodies(topic, "TagA || TagC", ["TagA-100", "TagC-102", "TagA-104"])


def tag_collision():
    """These two tags have one hash."""
    topic = create_topic("TagCollision")
    send_tags(topic, ["BB", "BB", "Aa", "BB", "Aa"])
    expect_bodies(topic, "Aa", ["Aa-2", "Aa-4"])


def long_poll():
    topic = create_topic("LongPoll")
    consumer = start_consumer(topic, "TagA")
    start = time.monotonic()
    expect(consumer.receive(16, INVISIBLE) == [], "something came")
    expect(time.monotonic() - start > 4, "an empty receive ended early")
    sending = threading.Thread(target=send_tags, args=(topic, ["TagB", "TagA"]))
    sending.start()
    got = consumer.receive(16, INVISIBLE)
    sending.join()
    expect([message.tag for message in got] == ["TagA"], f"got {got}")
    consumer.ack(got[0])


def expect_again(consumer, before):
    again = receive_all(consumer, 1)[0]
    same = again.message_id == before.message_id and again.delivery_attempt == 2
    expect(same, f"after {before} came {again}")


def redelivery():
    topic = create_topic("Redelivery")
    send_tags(topic, ["TagA"])
    consumer = start_consumer(topic, "*")
    expect_again(consumer, take_one(consumer, 2))
    expect(consumer.receive(16, INVISIBLE) == [], "an acked message came again")


def hand_back():
    topic = create_topic("HandBack")
    send_tags(topic, ["TagA"])
    consumer = start_consumer(topic, "*")
    message = take_one(consumer, 300)
    old_handle = message.receipt_handle
    consumer.change_invisible_duration(message, 1)
    expect(message.receipt_handle != old_handle, "the receipt handle did not change")
    expect_again(consumer, message)


def unknown_topic():
    """This client hides the code of a route, not that of a send to a topic deleted meanwhile."""
    topic = create_topic("Gone")
    producer = start_producer(topic)
    try:
        producer.send(message_of("None", "TagA", "x"))
        raise AssertionError("a send to an unknown topic was accepted")
    except Exception as error:  # it has no type
        expect("failed to fetch topic:None" in str(error), f"the send failed with {error!r}")
    producer.send(message_of(topic, "TagA", "x"))
    sluice("topic", "delete", topic)
    try:
        producer.send(message_of(topic, "TagA", "x"))
        raise AssertionError("a send to a deleted topic was accepted")
    except NotFoundException as error:
        expect(error.code == TOPIC_NOT_FOUND, f"the code is {error.code}")


def client_restart():
    """A consumer ends with a message in its hands; the next one of the group gets it."""
    topic = create_topic("ClientRestart")
    send_tags(topic, ["TagA"])
    send_tags(topic, ["TagB"])
    first = start_consumer(topic, "*")
    held = take_one(first, 2)
    first.shutdown()
    got = receive_all(start_consumer(topic, "*"), 2)
    attempts = [m.delivery_attempt for m in got if m.message_id == held.message_id]
    expect(attempts == [2], f"the message that was held came as attempts {attempts}")

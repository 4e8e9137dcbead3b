"""The official Python client, unchanged, against a real sluiced."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import unittest

from rocketmq import (ClientConfiguration, Credentials, FilterExpression, Message, Producer,
                      SimpleConsumer)
from rocketmq.v5.exception import NotFoundException

TOPIC_NOT_FOUND = 40402
MIB = 1024 * 1024


def configuration():
    return ClientConfiguration(os.environ["SLUICE_ENDPOINT"], Credentials())


def sluice(*words):
    subprocess.run([os.environ["SLUICE"], *words], check=True, stdout=subprocess.DEVNULL)


def create_topic(name):
    sluice("topic", "create", name)
    return name


def message_of(topic, tag, body):
    message = Message()
    message.topic = topic
    message.tag = tag
    message.body = body
    return message


class ClientTest(unittest.TestCase):
    def started(self, client):
        client.startup()
        self.addCleanup(client.shutdown)
        return client

    def producer(self, topic):
        return self.started(Producer(configuration(), (topic,)))

    def consumer(self, topic, expression, await_seconds=5):
        return self.started(SimpleConsumer(configuration(), f"{topic}-group",
                                           {topic: FilterExpression(expression)},
                                           await_duration=await_seconds))

    def send_all(self, topic, tags):
        producer = self.producer(topic)
        for i, tag in enumerate(tags):
            producer.send(message_of(topic, tag, f"{tag}-{i}".encode()))

    def receive_all(self, consumer, n):
        """Receives and acks until `n` messages came; fails when a whole poll brings none."""
        got = []
        while len(got) < n:
            batch = consumer.receive(16, 15)
            self.assertTrue(batch, f"only {len(got)} of {n} messages came")
            for message in batch:
                consumer.ack(message)
            got += batch
        return got

    def test_a_sent_message_arrives_as_it_was_sent(self):
        topic = create_topic("PythonRoundTrip")
        message = message_of(topic, "TagA", "Grüße, 世界".encode())
        message.keys = "key-1"
        message.add_property("colour", "grün")
        receipt = self.producer(topic).send(message)
        got = self.receive_all(self.consumer(topic, "*"), 1)[0]
        self.assertEqual(got.message_id, receipt.message_id)
        self.assertEqual(got.topic, topic)
        self.assertEqual(got.tag, "TagA")
        self.assertEqual(got.keys, {"key-1"})
        self.assertEqual(got.properties["colour"], "grün")
        self.assertEqual(got.body.decode(), "Grüße, 世界")
        self.assertEqual(got.delivery_attempt, 1)
        self.assertFalse(got.corrupted)

    def test_a_tag_filter_passes_over_what_lies_before_and_between(self):
        topic = create_topic("PythonFilter")
        self.send_all(topic, ["Other"] * 100 + ["TagA", "Other", "TagC", "TagB", "TagA"])
        consumer = self.consumer(topic, "TagA || TagC")
        got = sorted(message.body for message in self.receive_all(consumer, 3))
        self.assertEqual(got, [b"TagA-100", b"TagA-104", b"TagC-102"])
        self.assertFalse(consumer.receive(16, 15))

    def test_a_tag_of_the_same_hash_never_arrives_and_does_not_stall(self):
        topic = create_topic("PythonCollision")
        self.send_all(topic, ["BB", "BB", "Aa", "BB", "Aa"])
        consumer = self.consumer(topic, "Aa")
        got = sorted(message.body for message in self.receive_all(consumer, 2))
        self.assertEqual(got, [b"Aa-2", b"Aa-4"])
        self.assertFalse(consumer.receive(16, 15))

    def test_an_acked_message_stays_away_and_an_unacked_one_comes_again(self):
        topic = create_topic("PythonRedelivery")
        self.send_all(topic, ["TagA", "TagB"])
        consumer = self.consumer(topic, "*", await_seconds=10)
        first = []
        while len(first) < 2:
            batch = consumer.receive(16, 2)
            for message in batch:
                self.assertEqual(message.delivery_attempt, 1)
                if message.tag == "TagA":
                    consumer.ack(message)
            first += batch
        again = self.receive_all(consumer, 1)[0]
        self.assertEqual(again.tag, "TagB")
        self.assertEqual(again.delivery_attempt, 2)
        self.assertIn(again.message_id, {message.message_id for message in first})

    def test_a_message_handed_back_is_seen_again_early(self):
        topic = create_topic("PythonHandBack")
        self.send_all(topic, ["TagA"])
        consumer = self.consumer(topic, "*", await_seconds=10)
        message = consumer.receive(1, 60)[0]
        old_handle = message.receipt_handle
        consumer.change_invisible_duration(message, 1)
        self.assertNotEqual(message.receipt_handle, old_handle)
        again = self.receive_all(consumer, 1)[0]
        self.assertEqual(again.message_id, message.message_id)
        self.assertEqual(again.delivery_attempt, 2)

    def test_several_hundred_messages_each_arrive_once(self):
        topic = create_topic("PythonMany")
        self.send_all(topic, ["TagA"] * 300)
        got = [message.body for message in self.receive_all(self.consumer(topic, "TagA"), 300)]
        self.assertEqual(sorted(got), sorted(f"TagA-{i}".encode() for i in range(300)))

    def test_a_body_of_4_mib_arrives_whole(self):
        topic = create_topic("PythonBig")
        body = b"sluice64" * (4 * MIB // 8)
        self.producer(topic).send(message_of(topic, "TagA", body))
        got = self.receive_all(self.consumer(topic, "*"), 1)[0]
        self.assertEqual(got.body, body)
        self.assertFalse(got.corrupted)

    def test_an_unknown_topic_is_refused(self):
        producer = self.producer(create_topic("PythonSome"))
        with self.assertRaisesRegex(Exception, "PythonNone"):  # this client hides the code
            producer.send(message_of("PythonNone", "TagA", b"x"))

    def test_a_send_to_a_topic_deleted_meanwhile_is_not_found(self):
        topic = create_topic("PythonGone")
        producer = self.producer(topic)
        producer.send(message_of(topic, "TagA", b"x"))
        sluice("topic", "delete", topic)
        with self.assertRaises(NotFoundException) as caught:
            producer.send(message_of(topic, "TagA", b"x"))
        self.assertEqual(caught.exception.code, TOPIC_NOT_FOUND)


if __name__ == "__main__":
    unittest.main(verbosity=2)

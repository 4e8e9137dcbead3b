// What a team does all day with a producer and a simple consumer.
// SPDX-License-Identifier: Apache-2.0

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;

final class Behaviours {
    private static final int MIB = 1024 * 1024;
    private static final Duration INVISIBLE = Duration.ofSeconds(30);

    private Behaviours() {
    }

    /** Sends one message for each tag; its body is the tag and its number. */
    static List<String> sendTags(String topic, List<String> tags) throws Exception {
        List<String> bodies = new ArrayList<>();
        try (Producer producer = Client.producer(topic)) {
            for (String tag : tags) {
                String body = tag + "-" + bodies.size();
                producer.send(Client.message(topic, tag, body));
                bodies.add(body);
            }
        }
        return bodies;
    }

    /** Receives and acks until n messages came. */
    static List<MessageView> receiveAll(SimpleConsumer consumer, int n) throws ClientException {
        List<MessageView> got = new ArrayList<>();
        long end = System.nanoTime() + Client.PATIENCE.toNanos();
        while (got.size() < n) {
            Client.expect(System.nanoTime() < end, "only " + got.size() + " of " + n + " came");
            for (MessageView message : consumer.receive(32, INVISIBLE)) {
                consumer.ack(message);
                got.add(message);
            }
        }
        return got;
    }

    /** What a consumer of a group of its own gets of a topic: exactly this, in any order. */
    private static void expectBodies(String topic, String expression, List<String> want)
            throws Exception {
        try (SimpleConsumer consumer = Client.simple(topic, topic + "-group", expression)) {
            List<String> got = new ArrayList<>();
            receiveAll(consumer, want.size()).forEach(message -> got.add(Client.text(message)));
            consumer.receive(32, INVISIBLE).forEach(message -> got.add(Client.text(message)));
            Client.expectSame(want, got);
        }
    }

    static void sendOne() throws Exception {
        Client.sluice("topic", "create", "Send");
        byte[] body = "Grüße, 世界".getBytes(StandardCharsets.UTF_8);
        Message sent = Client.builder("Send", "TagA", body).setKeys("key-1", "key-2")
                .addProperty("colour", "grün").build();
        try (Producer producer = Client.producer("Send");
                SimpleConsumer consumer = Client.simple("Send", "Send-group", "*")) {
            SendReceipt receipt = producer.send(sent);
            MessageView got = receiveAll(consumer, 1).get(0);
            Client.expect(got.getMessageId().toString().equals(receipt.getMessageId().toString())
                    && got.getTopic().equals("Send") && got.getTag().get().equals("TagA")
                    && List.copyOf(got.getKeys()).equals(List.of("key-1", "key-2"))
                    && got.getProperties().get("colour").equals("grün")
                    && Arrays.equals(Client.bytes(got), body) && got.getDeliveryAttempt() == 1,
                    "sent " + sent + ", got " + got);
        }
    }

    static void sendMany() throws Exception {
        Client.sluice("topic", "create", "SendMany");
        List<String> bodies = sendTags("SendMany", Collections.nCopies(300, "TagA"));
        expectBodies("SendMany", "TagA", bodies);
    }

    static void sendAsync() throws Exception {
        Client.sluice("topic", "create", "SendAsync");
        List<String> bodies = new ArrayList<>();
        List<CompletableFuture<SendReceipt>> answers = new ArrayList<>();
        try (Producer producer = Client.producer("SendAsync")) {
            for (int i = 0; i < 100; i++) {
                bodies.add("body-" + i);
                answers.add(producer.sendAsync(
                        Client.message("SendAsync", "TagA", bodies.get(i))));
            }
            for (CompletableFuture<SendReceipt> answer : answers) {
                answer.get();
            }
        }
        expectBodies("SendAsync", "*", bodies);
    }

    static void bigBody() throws Exception {
        Client.sluice("topic", "create", "BigBody");
        byte[] body = "sluice64".repeat(4 * MIB / 8).getBytes(StandardCharsets.UTF_8);
        try (Producer producer = Client.producer("BigBody");
                SimpleConsumer consumer = Client.simple("BigBody", "BigBody-group", "*")) {
            producer.send(Client.builder("BigBody", "TagA", body).build());
            Client.expect(Arrays.equals(Client.bytes(receiveAll(consumer, 1).get(0)), body),
                    "the body is not the one sent");
        }
    }

    static void tagFilter() throws Exception {
        Client.sluice("topic", "create", "TagFilter");
        List<String> tags = new ArrayList<>(Collections.nCopies(100, "Other"));
        tags.addAll(List.of("TagA", "Other", "TagC", "TagB", "TagA"));
        sendTags("TagFilter", tags);
        expectBodies("TagFilter", "TagA || TagC", List.of("TagA-100", "TagC-102", "TagA-104"));
    }

    /** These two tags have one hash. */
    static void tagCollision() throws Exception {
        Client.sluice("topic", "create", "TagCollision");
        sendTags("TagCollision", List.of("BB", "BB", "Aa", "BB", "Aa"));
        expectBodies("TagCollision", "Aa", List.of("Aa-2", "Aa-4"));
    }

    static void longPoll() throws Exception {
        Client.sluice("topic", "create", "LongPoll");
        try (SimpleConsumer consumer = Client.simple("LongPoll", "LongPoll-group", "TagA")) {
            long start = System.nanoTime();
            Client.expect(consumer.receive(32, INVISIBLE).isEmpty(), "something came");
            Client.expect(System.nanoTime() - start > 4_000_000_000L,
                    "an empty receive ended early");
            CompletableFuture<List<MessageView>> waiting =
                    consumer.receiveAsync(32, INVISIBLE);
            sendTags("LongPoll", List.of("TagB", "TagA"));
            List<MessageView> got = waiting.get();
            Client.expect(got.size() == 1 && got.get(0).getTag().get().equals("TagA"),
                    "a receive that was to be woken got " + got);
            consumer.ack(got.get(0));
        }
    }

    /** Receives one message without acking it. */
    private static MessageView takeOne(SimpleConsumer consumer, Duration invisible)
            throws ClientException {
        long end = System.nanoTime() + Client.PATIENCE.toNanos();
        while (System.nanoTime() < end) {
            for (MessageView message : consumer.receive(1, invisible)) {
                return message;
            }
        }
        throw new AssertionError("no message came");
    }

    private static void expectAgain(SimpleConsumer consumer, MessageView before)
            throws ClientException {
        MessageView again = receiveAll(consumer, 1).get(0);
        Client.expect(again.getMessageId().equals(before.getMessageId())
                && again.getDeliveryAttempt() == 2, "after " + before + " came " + again);
    }

    static void redelivery() throws Exception {
        Client.sluice("topic", "create", "Redelivery");
        sendTags("Redelivery", List.of("TagA"));
        try (SimpleConsumer consumer = Client.simple("Redelivery", "Redelivery-group", "*")) {
            expectAgain(consumer, takeOne(consumer, Duration.ofSeconds(2)));
            Client.expect(consumer.receive(32, INVISIBLE).isEmpty(),
                    "an acked message came again");
        }
    }

    static void handBack() throws Exception {
        Client.sluice("topic", "create", "HandBack");
        sendTags("HandBack", List.of("TagA"));
        try (SimpleConsumer consumer = Client.simple("HandBack", "HandBack-group", "*")) {
            MessageView message = takeOne(consumer, Duration.ofMinutes(5));
            consumer.changeInvisibleDuration(message, Duration.ofSeconds(1));
            expectAgain(consumer, message);
        }
    }

    static void unknownTopic() throws Exception {
        try (Producer producer = Client.producer("None")) {
            throw new AssertionError("a producer of an unknown topic started: " + producer);
        } catch (IllegalStateException | ClientException e) {
            Client.expect(tells(e, "40402"), "the producer's start failed with: " + e);
        }
        try (AutoCloseable consumer = Client.push("None", "None-group",
                message -> ConsumeResult.SUCCESS)) {
            throw new AssertionError("a push consumer of an unknown topic started: " + consumer);
        } catch (IllegalStateException | ClientException e) {
            Client.expect(tells(e, "40402"), "the consumer's start failed with: " + e);
        }
    }

    private static boolean tells(Throwable e, String text) {
        for (; e != null; e = e.getCause()) {
            if (String.valueOf(e.getMessage()).contains(text)) {
                return true;
            }
        }
        return false;
    }

    /** A consumer ends with a message in its hands; the next one of the group gets it. */
    static void clientRestart() throws Exception {
        Client.sluice("topic", "create", "ClientRestart");
        sendTags("ClientRestart", List.of("TagA"));
        sendTags("ClientRestart", List.of("TagB"));
        MessageView held;
        try (SimpleConsumer first = Client.simple("ClientRestart", "ClientRestart-group", "*")) {
            held = takeOne(first, Duration.ofSeconds(2));
        }
        try (SimpleConsumer second = Client.simple("ClientRestart", "ClientRestart-group", "*")) {
            Client.expect(receiveAll(second, 2).stream().anyMatch(message ->
                    message.getMessageId().equals(held.getMessageId())
                    && message.getDeliveryAttempt() == 2),
                    "the message that was held did not come again as attempt 2");
        }
    }
}

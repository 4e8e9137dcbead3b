// Push consumers: in order or not, slow, refusing until the message is a dead letter.
// SPDX-License-Identifier: Apache-2.0

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

final class Push {
    private Push() {
    }

    private static MessageListener noting(BlockingQueue<String> bodies) {
        return message -> {
            bodies.add(Client.text(message));
            return ConsumeResult.SUCCESS;
        };
    }

    /** A listener that refuses one body, and notes each body with its attempt. */
    private static MessageListener refusing(String body, BlockingQueue<String> deliveries) {
        return message -> {
            String text = Client.text(message);
            deliveries.add(text + "/" + message.getDeliveryAttempt());
            return text.equals(body) ? ConsumeResult.FAILURE : ConsumeResult.SUCCESS;
        };
    }

    /** The first n that were noted, in that order. */
    static List<String> collect(BlockingQueue<String> noted, int n) throws Exception {
        List<String> got = new ArrayList<>();
        while (got.size() < n) {
            String next = noted.poll(Client.PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
            Client.expect(next != null, "of " + n + " deliveries came only " + got);
            got.add(next);
        }
        return got;
    }

    /** What a push consumer of a group of its own is given, in any order, once each. */
    private static void expectPushed(String topic, List<String> want) throws Exception {
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        List<String> got;
        try (PushConsumer consumer = Client.push(topic, topic + "-group", noting(bodies))) {
            got = collect(bodies, want.size());
        }
        bodies.drainTo(got);
        Client.expectSame(want, got);
    }

    /** A listener that takes longer than the six seconds for which the broker hides a message. */
    static void autoRenew() throws Exception {
        Client.sluice("topic", "create", "AutoRenew");
        Behaviours.sendTags("AutoRenew", List.of("Slow"));
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        try (PushConsumer consumer = Client.push("AutoRenew", "AutoRenew-group", message -> {
            sleep(15_000);
            return noting(bodies).consume(message);
        })) {
            collect(bodies, 1);
        }
        try (SimpleConsumer next = Client.simple("AutoRenew", "AutoRenew-group", "*")) {
            Client.expect(next.receive(32, Duration.ofSeconds(1)).isEmpty() && bodies.isEmpty(),
                    "the message came again");
        }
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A group waits one second before the second attempt, and five before the third. */
    static void pushRetry() throws Exception {
        Client.sluice("topic", "create", "PushRetry");
        Behaviours.sendTags("PushRetry", List.of("Bad"));
        BlockingQueue<String> deliveries = new LinkedBlockingQueue<>();
        List<Long> atMs = Collections.synchronizedList(new ArrayList<>());
        try (PushConsumer consumer = Client.push("PushRetry", "PushRetry-group", message -> {
            atMs.add(System.nanoTime() / 1_000_000);
            ConsumeResult refused = refusing("Bad-0", deliveries).consume(message);
            return atMs.size() < 3 ? refused : ConsumeResult.SUCCESS;
        })) {
            List<String> got = collect(deliveries, 3);
            long first = atMs.get(1) - atMs.get(0);
            long second = atMs.get(2) - atMs.get(1);
            Client.expect(got.equals(List.of("Bad-0/1", "Bad-0/2", "Bad-0/3"))
                    && first >= 1000 && second >= 5000,
                    "got " + got + " after " + first + " and " + second + " ms");
        }
    }

    /** Most of these messages are there before the consumer starts. */
    static void push() throws Exception {
        Client.sluice("topic", "create", "Push");
        List<String> want = Behaviours.sendTags("Push", Collections.nCopies(100, "TagA"));
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        List<String> got;
        try (PushConsumer consumer = Client.push("Push", "Push-group", noting(bodies))) {
            want.addAll(Behaviours.sendTags("Push", List.of("Late")));
            got = collect(bodies, want.size());
        }
        bodies.drainTo(got);
        Client.expectSame(want, got);
    }

    /**
     * Bodies whose CRC-32 has its highest bit set, or a leading zero digit. A push consumer of
     * this client gives its listener nothing that it finds corrupted.
     */
    static void digest() throws Exception {
        Client.sluice("topic", "create", "Digest");
        List<String> bodies = List.of("123456789", "digest-27");
        try (Producer producer = Client.producer("Digest")) {
            for (String body : bodies) {
                producer.send(Client.message("Digest", "TagA", body));
            }
        }
        expectPushed("Digest", bodies);
    }

    private static void sendInOrder(String topic, List<String> bodies) throws Exception {
        try (Producer producer = Client.producer(topic)) {
            for (String body : bodies) {
                producer.send(Client.builder(topic, "TagA", body.getBytes())
                        .setMessageGroup("order").build());
            }
        }
    }

    static void pushFifo() throws Exception {
        Client.sluice("topic", "create", "PushFifo", "--type", "FIFO");
        Client.sluice("group", "create", "PushFifo-group", "--fifo");
        List<String> want = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            want.add("body-" + i);
        }
        sendInOrder("PushFifo", want);
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        try (PushConsumer consumer = Client.push("PushFifo", "PushFifo-group", noting(bodies))) {
            List<String> got = collect(bodies, want.size());
            Client.expect(got.equals(want), "got " + got);
        }
    }

    /** The dead-letter topic is there from its first message on. */
    private static SimpleConsumer startOnDeadLetters(String group) throws Exception {
        for (long end = System.nanoTime() + Client.PATIENCE.toNanos();;) {
            try {
                return Client.simple("%DLQ%" + group, group + "-dead", "*");
            } catch (IllegalStateException | ClientException e) {
                Client.expect(System.nanoTime() < end, "no dead-letter topic: " + e);
                Thread.sleep(1000);
            }
        }
    }

    private static void expectDeadLetter(String group, String body) throws Exception {
        try (SimpleConsumer consumer = startOnDeadLetters(group)) {
            MessageView got = Behaviours.receiveAll(consumer, 1).get(0);
            Client.expect(Client.text(got).equals(body), "the dead letter is " + got);
        }
    }

    static void deadLetter() throws Exception {
        Client.sluice("topic", "create", "DeadLetter");
        Client.sluice("group", "create", "DeadLetter-group", "--max-attempts", "2");
        Behaviours.sendTags("DeadLetter", List.of("Bad", "Good"));
        BlockingQueue<String> deliveries = new LinkedBlockingQueue<>();
        try (PushConsumer consumer = Client.push("DeadLetter", "DeadLetter-group",
                refusing("Bad-0", deliveries))) {
            Client.expectSame(List.of("Bad-0/1", "Bad-0/2", "Good-1/1"), collect(deliveries, 3));
            expectDeadLetter("DeadLetter-group", "Bad-0");
        }
    }

    /** In order, what is refused holds up the rest of its group until it is a dead letter. */
    static void fifoDeadLetter() throws Exception {
        Client.sluice("topic", "create", "FifoDeadLetter", "--type", "FIFO");
        Client.sluice("group", "create", "FifoDeadLetter-group", "--fifo", "--max-attempts", "2");
        sendInOrder("FifoDeadLetter", List.of("a", "b", "c"));
        BlockingQueue<String> deliveries = new LinkedBlockingQueue<>();
        try (PushConsumer consumer = Client.push("FifoDeadLetter", "FifoDeadLetter-group",
                refusing("b", deliveries))) {
            List<String> got = collect(deliveries, 4);
            Client.expect(got.equals(List.of("a/1", "b/1", "b/2", "c/1")), "deliveries: " + got);
            expectDeadLetter("FifoDeadLetter-group", "b");
        }
    }
}

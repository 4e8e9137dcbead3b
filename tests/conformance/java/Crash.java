// Consumers that come and go, and a broker that is stopped or killed under all of them.
// SPDX-License-Identifier: Apache-2.0

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

final class Crash {
    private Crash() {
    }

    /** Waits until the condition holds. */
    private static void until(Supplier<Boolean> condition, Supplier<String> otherwise)
            throws InterruptedException {
        for (long end = System.nanoTime() + Client.PATIENCE.toNanos(); !condition.get();) {
            if (System.nanoTime() > end) {
                throw new AssertionError(otherwise.get());
            }
            Thread.sleep(20);
        }
    }

    /** How often each body came. */
    private static final class Seen {
        private final Map<String, Integer> times = new ConcurrentHashMap<>();

        int count(MessageView message) {
            return times.merge(Client.text(message), 1, Integer::sum);
        }

        /** Every tenth message is not done with until it comes again. */
        boolean isDone(MessageView message) {
            return count(message) > 1 || !Client.text(message).endsWith("7");
        }

        int sum() {
            return times.values().stream().mapToInt(Integer::intValue).sum();
        }

        List<String> left() {
            return times.entrySet().stream()
                    .filter(each -> each.getKey().endsWith("7") && each.getValue() < 2)
                    .map(Map.Entry::getKey).collect(Collectors.toList());
        }
    }

    /** Sends numbered bodies until it is stopped; knows which were tried and which accepted. */
    private static final class Sender extends Thread {
        private final Set<String> tried = ConcurrentHashMap.newKeySet();
        private final Set<String> accepted = ConcurrentHashMap.newKeySet();
        private final Producer producer;
        private final String topic;
        private volatile boolean isStopping;

        Sender(String topic) throws Exception {
            this.topic = topic;
            Client.sluice("topic", "create", topic);
            producer = Client.producer(topic);
            start();
        }

        @Override
        public void run() {
            for (int i = 0; !isStopping; i++) {
                String body = String.valueOf(i);
                tried.add(body);
                try {
                    producer.send(Client.message(topic, "TagA", body));
                    accepted.add(body);
                    Thread.sleep(5);
                } catch (ClientException | RuntimeException e) { // gRPC's own comes as it is
                    continue;
                } catch (InterruptedException e) {
                    return;
                }
            }
        }

        void end() throws InterruptedException {
            isStopping = true;
            join();
        }

        private Set<String> lacking(Seen seen) {
            return accepted.stream().filter(body -> !seen.times.containsKey(body))
                    .collect(Collectors.toSet());
        }

        /** Waits until all that was accepted was seen, and nothing else was. */
        void expectAll(Seen seen, String who) throws InterruptedException {
            until(() -> lacking(seen).isEmpty(),
                    () -> who + ": lost " + lacking(seen) + " of " + accepted.size());
            Client.expect(tried.containsAll(seen.times.keySet()), who + ": some nobody sent");
        }
    }

    private static PushConsumer push(String topic, String group, Predicate<MessageView> isDone)
            throws ClientException {
        return Client.push(topic, group, message ->
                isDone.test(message) ? ConsumeResult.SUCCESS : ConsumeResult.FAILURE);
    }

    /** A consumer that tells what it is given; returns once that is something. */
    private static PushConsumer join(String topic, Seen seen) throws Exception {
        Seen own = new Seen();
        PushConsumer consumer = push(topic, topic + "-group",
                message -> own.count(message) + seen.count(message) > 0);
        until(() -> !own.times.isEmpty(), () -> "a consumer that joined was given nothing");
        return consumer;
    }

    /** Four consumers of a group, each of which starts before the one before it stops. */
    static void groupChurn() throws Exception {
        Sender sender = new Sender("GroupChurn");
        Seen seen = new Seen();
        try {
            PushConsumer last = join("GroupChurn", seen);
            for (int i = 0; i < 3; i++) {
                PushConsumer next = join("GroupChurn", seen);
                last.close();
                last = next;
            }
        } finally {
            sender.end();
        }
        sender.expectAll(seen, "the group");
    }

    private static void sendUntilAccepted(Producer producer, String topic, String body)
            throws Exception {
        for (long end = System.nanoTime() + Client.PATIENCE.toNanos();;) {
            try {
                producer.send(Client.message(topic, "TagA", body));
                return;
            } catch (ClientException | RuntimeException e) { // gRPC's own comes as it is
                Client.expect(System.nanoTime() < end, "no send is accepted: " + e);
            }
        }
    }

    /**
     * Clients that were connected go on after the broker came back on its port. They are left open:
     * one that is closed while it renews its session waits for that session for ever.
     */
    static void brokerRestart() throws Exception {
        String topic = "BrokerRestart";
        Client.sluice("topic", "create", topic);
        BlockingQueue<String> bodies = new LinkedBlockingQueue<>();
        Producer producer = Client.producer(topic);
        push(topic, topic + "-group", message -> bodies.add(Client.text(message)));
        sendUntilAccepted(producer, topic, "before");
        Client.expectSame(List.of("before"), Push.collect(bodies, 1));
        Client.broker("restart");
        sendUntilAccepted(producer, topic, "after");
        Client.expectSame(List.of("after"), Push.collect(bodies, 1));
    }

    private static void receiveAndAck(SimpleConsumer consumer, Seen seen) {
        while (true) {
            try {
                for (MessageView message : consumer.receive(32, Duration.ofSeconds(2))) {
                    if (seen.isDone(message)) {
                        consumer.ack(message);
                    }
                }
            } catch (ClientException | RuntimeException e) { // what is not acked comes again
                Thread.yield();
            }
        }
    }

    /** A simple and a push consumer of two groups, neither of which may miss what was accepted. */
    static void brokerKill() throws Exception {
        String topic = "BrokerKill";
        int kills = Integer.parseInt(System.getenv().getOrDefault("SLUICE_KILLS", "2"));
        Seen simple = new Seen();
        Seen pushed = new Seen();
        Sender sender = new Sender(topic);
        SimpleConsumer consumer = Client.simple(topic, topic + "-simple", "*");
        push(topic, topic + "-push", pushed::isDone);
        Thread receiving = new Thread(() -> receiveAndAck(consumer, simple));
        receiving.setDaemon(true);
        receiving.start();
        try {
            for (int i = 0; i <= kills; i++) {
                for (var body : List.of(sender.accepted, simple.times.keySet(),
                        pushed.times.keySet())) {
                    int goal = body.size() + 100;
                    String after = goal + " after " + i + " kills";
                    until(() -> body.size() >= goal, () -> body.size() + " of " + after);
                }
                if (i < kills) {
                    Client.broker("kill");
                }
            }
        } finally {
            sender.end();
        }
        sender.expectAll(simple, "the simple consumer");
        sender.expectAll(pushed, "the push consumer");
        until(() -> simple.left().isEmpty() && pushed.left().isEmpty(),
                () -> "un-acked and gone: " + simple.left() + " and " + pushed.left());
        int n = simple.sum() + pushed.sum();
        System.out.printf("# broker-kill: %d kills; %d sent, %d accepted; %d deliveries, "
                + "%d of them again%n", kills, sender.tried.size(), sender.accepted.size(), n,
                n - simple.times.size() - pushed.times.size());
    }
}

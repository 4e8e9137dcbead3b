// A RocketMQ of its own, name server, broker and clients, on a store that Sluice wrote. Its producer
// appends, its consumer goes on where its group stands; prints one JSON object for each message.
// SPDX-License-Identifier: Apache-2.0

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.broker.BrokerController;
import org.apache.rocketmq.broker.BrokerStartup;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.namesrv.NamesrvStartup;

@SuppressWarnings("deprecation") // of the consumer that pulls what it is told to
public final class BrokerProbe {
    private static final String USAGE = """
        ROOT LOG-FILE-BYTES QUEUE-FILE-BYTES GROUP COUNT TOPIC...
        appends COUNT messages to the first topic, then has GROUP consume all of them""";
    private static final Path HOME = Path.of(System.getProperty("user.home"));
    private static final int PATIENCE_MS = 30000;
    private static final int PULLED_AT_ONCE = 32;
    private static final int COMPRESSED_EACH = 8; // by its client, as all that is so long
    private static final int COMPRESSED_BYTES = 8000;

    public static void main(String[] args) {
        System.setProperty("rocketmq.home.dir", HOME.toString());
        System.setProperty("tls.server.mode", "disabled"); // else three key pairs are made
        Output.claimFor(() -> serve(args));
    }

    // ---- the servers ----

    // Starts them as their main functions do, and stops the broker as its shutdown hook does. The
    // others are not shut down: each waits for seconds then, and has nothing left to save.
    private static void serve(String[] args) throws Exception {
        if (args.length < 6)
            throw new IllegalArgumentException(USAGE);
        int namesPort = freePort();
        String names = "127.0.0.1:" + namesPort;
        NamesrvStartup.main0(
            new String[] {"-c", write("namesrv.conf",
                "bindAddress=127.0.0.1\nlistenPort=" + namesPort + "\n")});
        BrokerController broker = BrokerStartup.start(BrokerStartup.createBrokerController(
            new String[] {"-c", write("broker.conf", brokerConf(args, names))}));
        List<String> topics = List.of(args).subList(5, args.length);
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(args[3]);
        consumer.setNamesrvAddr(names);
        consumer.start();
        awaitRoute(consumer, topics.get(0));
        append(names, topics.get(0), Integer.parseInt(args[4]));
        for (String topic : topics)
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic))
                consume(consumer, queue);
        broker.shutdown();
    }

    // The broker may not have registered yet.
    private static void awaitRoute(DefaultMQPullConsumer consumer, String topic) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        for (;;) {
            try {
                consumer.fetchSubscribeMessageQueues(topic);
                return;
            } catch (MQClientException unknown) {
                if (System.currentTimeMillis() > end)
                    throw unknown;
                Thread.sleep(100);
            }
        }
    }

    private static String write(String name, String text) throws IOException {
        return Files.writeString(HOME.resolve(name), text).toString();
    }

    // The lengths of files are the writer's, and nothing is old enough to go. A broker that lives for
    // seconds spins or is slow to stop with the usual times between two rounds of its services.
    private static String brokerConf(String[] args, String names) throws IOException {
        return "storePathRootDir=" + args[0]
            + "\nstorePathCommitLog=" + args[0] + "/commitlog"
            + "\nmappedFileSizeCommitLog=" + args[1]
            + "\nmappedFileSizeConsumeQueue=" + args[2]
            + "\nnamesrvAddr=" + names
            + "\nlistenPort=" + brokerPort() + """

            brokerName=broker-a
            bindAddress=127.0.0.1
            brokerIP1=127.0.0.1
            mapperFileSizeBatchConsumeQueue=4600
            mappedFileSizeTimerLog=4096
            maxHashSlotNum=1000
            maxIndexNum=8000
            fileReservedTime=876000
            transactionCheckInterval=36000000
            waitTimeMillsInSendQueue=30000
            osPageCacheBusyTimeOutMills=30000
            transactionMetricFlushInterval=200
            timerFlushIntervalMs=60000
            reviveInterval=100
            """;
    }

    private static ServerSocket listen(int port) throws IOException {
        return new ServerSocket(port, 0, InetAddress.getLoopbackAddress());
    }

    // One that is free now: RocketMQ cannot be told to choose.
    private static int freePort() throws IOException {
        try (ServerSocket socket = listen(0)) {
            return socket.getLocalPort();
        }
    }

    // The broker also listens two below its port and one above.
    private static int brokerPort() throws IOException {
        for (;;) {
            int port = freePort();
            try (ServerSocket below = listen(port - 2); ServerSocket above = listen(port + 1)) {
                return port;
            } catch (IOException taken) {
                continue;
            }
        }
    }

    // ---- producing ----

    // To queue 0. The short ones are one batch, the long ones are compressed.
    private static void append(String names, String topic, int count) throws Exception {
        if (count == 0)
            return;
        DefaultMQProducer producer = new DefaultMQProducer("appender");
        producer.setNamesrvAddr(names);
        producer.start();
        MessageQueue queue = new MessageQueue(topic, "broker-a", 0);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Message message = new Message();
            Messages.fill(message, topic, i);
            if (i % COMPRESSED_EACH == 0) {
                message.setBody(lengthened(message.getBody()));
                expectStored(producer.send(message, queue, PATIENCE_MS));
            } else {
                batch.add(message);
            }
        }
        if (!batch.isEmpty())
            expectStored(producer.send(batch, queue, PATIENCE_MS));
    }

    private static byte[] lengthened(byte[] body) {
        byte[] longer = Arrays.copyOf(body, COMPRESSED_BYTES);
        Arrays.fill(longer, body.length, COMPRESSED_BYTES, (byte) '.');
        return longer;
    }

    private static void expectStored(SendResult result) throws IOException {
        if (result.getSendStatus() != SendStatus.SEND_OK)
            throw new IOException("a message was not stored: " + result);
    }

    // ---- consuming ----

    // From the group's position, or the first that is there when it has none.
    private static void consume(DefaultMQPullConsumer consumer, MessageQueue queue)
        throws Exception {
        long from = consumer.fetchConsumeOffset(queue, true);
        if (from < 0)
            from = consumer.minOffset(queue);
        List<MessageExt> messages = pull(consumer, queue, "*", from);
        Set<Long> found = new HashSet<>();
        for (String tag : tagsOf(messages))
            for (MessageExt message : pull(consumer, queue, tag, from))
                found.add(message.getQueueOffset());
        for (MessageExt message : messages)
            print(message, message.getTags() == null || found.contains(message.getQueueOffset()));
        consumer.getOffsetStore().updateConsumeOffsetToBroker(queue, consumer.maxOffset(queue),
            /* isOneway = */ false);
    }

    private static Set<String> tagsOf(List<MessageExt> messages) {
        Set<String> tags = new HashSet<>();
        for (MessageExt message : messages)
            if (message.getTags() != null)
                tags.add(message.getTags());
        return tags;
    }

    private static List<MessageExt> pull(DefaultMQPullConsumer consumer, MessageQueue queue,
        String tag, long from) throws Exception {
        List<MessageExt> messages = new ArrayList<>();
        long end = consumer.maxOffset(queue);
        for (long at = from; at < end;) {
            PullResult result = consumer.pull(queue, tag, at, PULLED_AT_ONCE, PATIENCE_MS);
            if (result.getPullStatus() == PullStatus.FOUND)
                messages.addAll(result.getMsgFoundList());
            if (result.getNextBeginOffset() <= at)
                throw new IOException(queue + " gives nothing from " + at + " on: " + result);
            at = result.getNextBeginOffset();
        }
        return messages;
    }

    // The broker looks for a tag by its code in the queue.
    private static void print(MessageExt message, boolean isFoundByTag) throws Exception {
        Map<String, Object> line = Messages.line(message);
        line.put("tagsCodeOk", isFoundByTag);
        Output.print(line);
    }
}

// RocketMQ's own store classes on a store that Sluice wrote. Prints one JSON object a line.
// SPDX-License-Identifier: Apache-2.0

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import org.apache.rocketmq.common.BrokerConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageExtBrokerInner;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;
import org.apache.rocketmq.remoting.protocol.body.ConsumerOffsetSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.body.SubscriptionGroupWrapper;
import org.apache.rocketmq.remoting.protocol.body.TopicConfigSerializeWrapper;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.store.DefaultMessageStore;
import org.apache.rocketmq.store.PutMessageResult;
import org.apache.rocketmq.store.QueryMessageResult;
import org.apache.rocketmq.store.config.MessageStoreConfig;
import org.apache.rocketmq.store.queue.ConsumeQueueInterface;
import org.apache.rocketmq.store.queue.CqUnit;
import org.apache.rocketmq.store.stats.BrokerStatsManager;

public final class StoreProbe {
    private static final String USAGE = """
        list ROOT LOG-FILE-BYTES QUEUE-FILE-BYTES
        append ROOT LOG-FILE-BYTES QUEUE-FILE-BYTES TOPIC QUEUE-ID COUNT close|crash
        config ROOT""";

    public static void main(String[] args) {
        Output.claimFor(() -> run(args));
    }

    private static void run(String[] args) throws Exception {
        switch (args.length == 0 ? "" : args[0]) {
        case "list" -> list(load(args));
        case "append" -> append(load(args), args[4], Integer.parseInt(args[5]),
            Integer.parseInt(args[6]), args[7].equals("close"));
        case "config" -> config(Path.of(args[1], "config"));
        default -> throw new IllegalArgumentException(USAGE);
        }
    }

    // Loads and recovers. All of the log is walked when there are no consume queues.
    private static DefaultMessageStore load(String[] args) throws IOException {
        MessageStoreConfig config = new MessageStoreConfig();
        config.setStorePathRootDir(args[1]);
        config.setStorePathCommitLog(args[1] + "/commitlog");
        config.setMappedFileSizeCommitLog(Integer.parseInt(args[2]));
        config.setMappedFileSizeConsumeQueue(Integer.parseInt(args[3]));
        config.setMapperFileSizeBatchConsumeQueue(4600);
        config.setMaxHashSlotNum(1000);
        config.setMaxIndexNum(8000);
        config.setCommitLogRecoverMaxNum(Integer.MAX_VALUE);
        config.setHaListenPort(0);
        config.setTimerWheelEnable(false);
        DefaultMessageStore store = new DefaultMessageStore(config,
            new BrokerStatsManager("sluice", true),
            (topic, queueId, offset, tagsCode, time, bitMap, properties) -> { }, new BrokerConfig(),
            topicTable(Path.of(args[1], "config")));
        if (!store.load())
            throw new IOException("RocketMQ refuses the store");
        return store;
    }

    // Which topics have queues of batches.
    private static ConcurrentMap<String, TopicConfig> topicTable(Path folder) throws IOException {
        return new ConcurrentHashMap<>(
            read(folder, "topics.json", TopicConfigSerializeWrapper.class).getTopicConfigTable());
    }

    // ---- list ----

    private static void list(DefaultMessageStore store) throws Exception {
        for (var queues : store.getConsumeQueueTable().values())
            for (ConsumeQueueInterface queue : queues.values())
                listQueue(store, queue);
        Map<String, Object> end = new LinkedHashMap<>();
        end.put("minPhyOffset", store.getMinPhyOffset());
        end.put("maxPhyOffset", store.getMaxPhyOffset());
        Output.print(end);
    }

    private static void listQueue(DefaultMessageStore store, ConsumeQueueInterface queue)
        throws Exception {
        CqUnit unit;
        for (long i = queue.getMinOffsetInQueue(); i < queue.getMaxOffsetInQueue();
             i += Math.max(1, unit.getBatchNum())) {
            unit = queue.get(i);
            MessageExt message = store.lookMessageByOffset(unit.getPos(), unit.getSize());
            if (message == null)
                throw new IOException(queue.getTopic() + "/" + queue.getQueueId() + " entry " + i
                    + " points at no record");
            if (message.getQueueId() != queue.getQueueId()
                || !message.getTopic().equals(queue.getTopic()))
                throw new IOException("entry " + i + " points at another queue's record");
            if (message.getQueueOffset() == i)
                listMessage(store, message, unit);
            else
                listStandIn(queue, message, unit, i);
        }
    }

    // Where a message was lost, the entry of another one stands, which has its own too.
    private static void listStandIn(ConsumeQueueInterface queue, MessageExt message, CqUnit unit,
        long i) throws Exception {
        CqUnit own = queue.get(message.getQueueOffset());
        if (own == null || own.getPos() != unit.getPos())
            throw new IOException("entry " + i + " points at another entry's record");
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("standsInFor", i);
        Output.print(line);
    }

    // Whether each of its keys leads to the message.
    private static boolean isIndexed(DefaultMessageStore store, MessageExt message, long position) {
        StringBuilder keys = new StringBuilder();
        for (String name : List.of(MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
            MessageConst.PROPERTY_KEYS)) {
            String value = message.getProperty(name);
            keys.append(value == null ? "" : value).append(' ');
        }
        for (String key : keys.toString().trim().split(" +"))
            if (!key.isEmpty() && !isFound(store, message.getTopic(), key, position))
                return false;
        return true;
    }

    // An item of a lost message may lead to the filler in its place, which is shorter than a record.
    private static boolean isFound(DefaultMessageStore store, String topic, String key,
        long position) {
        QueryMessageResult result = store.queryMessage(topic, key, 64, 0, Long.MAX_VALUE);
        boolean found = false;
        for (ByteBuffer record : result.getMessageBufferList())
            found |= record.limit() >= 36 && record.getLong(28) == position;
        result.release();
        return found;
    }

    private static void listMessage(DefaultMessageStore store, MessageExt message, CqUnit unit)
        throws Exception {
        Map<String, Object> line = Messages.line(message);
        String tags = message.getTags();
        line.put("physicalOffset", unit.getPos());
        line.put("tagsCodeOk", unit.getTagsCode() == (tags == null ? 0 : tags.hashCode()));
        line.put("isIndexed", isIndexed(store, message, unit.getPos()));
        Output.print(line);
    }

    // ---- append ----

    private static void append(DefaultMessageStore store, String topic, int queueId, int count,
        boolean close) throws Exception {
        store.start();
        for (int i = 0; i < count; i++) {
            PutMessageResult result = store.putMessage(message(topic, queueId, i));
            if (!result.isOk())
                throw new IOException("message " + i + ": " + result.getPutMessageStatus());
        }
        while (store.dispatchBehindBytes() > 0)
            Thread.onSpinWait();
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("maxPhyOffset", store.getMaxPhyOffset());
        if (close)
            store.shutdown();
        Output.print(line);
    }

    private static MessageExtBrokerInner message(String topic, int queueId, int i) {
        MessageExtBrokerInner message = new MessageExtBrokerInner();
        Messages.fill(message, topic, i);
        message.setQueueId(queueId);
        message.setTagsCode("TagR".hashCode());
        message.setBornTimestamp(System.currentTimeMillis());
        message.setBornHost(new InetSocketAddress("127.0.0.1", 10911));
        message.setStoreHost(new InetSocketAddress("127.0.0.1", 10911));
        message.setPropertiesString(MessageDecoder.messageProperties2String(
            message.getProperties()));
        return message;
    }

    // ---- config ----

    private static <T> T read(Path folder, String name, Class<T> type) throws IOException {
        return RemotingSerializable.fromJson(Files.readString(folder.resolve(name)), type);
    }

    private static void config(Path folder) throws IOException {
        for (TopicConfig topic : read(folder, "topics.json", TopicConfigSerializeWrapper.class)
            .getTopicConfigTable().values()) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("topic", topic.getTopicName());
            line.put("readQueues", topic.getReadQueueNums());
            line.put("writeQueues", topic.getWriteQueueNums());
            line.put("perm", topic.getPerm());
            line.put("type", topic.getTopicMessageType().getValue());
            Output.print(line);
        }
        for (SubscriptionGroupConfig group : read(folder, "subscriptionGroup.json",
            SubscriptionGroupWrapper.class).getSubscriptionGroupTable().values()) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("group", group.getGroupName());
            line.put("orderly", group.isConsumeMessageOrderly());
            line.put("enabled", group.isConsumeEnable());
            line.put("retryMaxTimes", group.getRetryMaxTimes());
            Output.print(line);
        }
        for (var offsets : read(folder, "consumerOffset.json", ConsumerOffsetSerializeWrapper.class)
            .getOffsetTable().entrySet()) {
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("offsetsOf", offsets.getKey());
            Map<String, Long> byQueue = new LinkedHashMap<>();
            offsets.getValue().forEach((queue, offset) -> byQueue.put(queue.toString(), offset));
            line.put("offsets", byQueue);
            Output.print(line);
        }
    }
}

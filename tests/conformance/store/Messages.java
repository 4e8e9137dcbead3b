// Messages as the probes make and print them.
// SPDX-License-Identifier: Apache-2.0

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

final class Messages {
    private Messages() { }

    // Makes it the i-th that RocketMQ appends.
    static void fill(Message message, String topic, int i) {
        message.setTopic(topic);
        message.setBody(("from RocketMQ " + i).getBytes(StandardCharsets.UTF_8));
        message.setTags("TagR");
        message.setKeys("r" + i);
        MessageAccessor.putProperty(message,
            MessageConst.PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX, String.format("R%07d", i));
    }

    // What a line says of every message.
    static Map<String, Object> line(MessageExt message) throws Exception {
        Map<String, Object> line = new LinkedHashMap<>();
        byte[] body = message.getBody() == null ? new byte[0] : message.getBody();
        line.put("topic", message.getTopic());
        line.put("queueId", message.getQueueId());
        line.put("queueOffset", message.getQueueOffset());
        line.put("bodyCRCOk", UtilAll.crc32(body) == message.getBodyCRC());
        line.put("bornTimestamp", message.getBornTimestamp());
        line.put("storeTimestamp", message.getStoreTimestamp());
        line.put("bodyLength", body.length);
        line.put("bodySha256", HexFormat.of().formatHex(
            MessageDigest.getInstance("SHA-256").digest(body)));
        line.put("properties", message.getProperties());
        return line;
    }
}

// Producers and consumers as the behaviours need them, and what they wait for.
// SPDX-License-Identifier: Apache-2.0

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.MessageListener;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.apis.producer.Producer;

final class Client {
    static final Duration PATIENCE = Duration.ofSeconds(40);
    private static final ClientServiceProvider PROVIDER = ClientServiceProvider.loadService();

    private Client() {
    }

    private static ClientConfiguration configuration() {
        return ClientConfiguration.newBuilder()
                .setEndpoints(System.getenv("SLUICE_ENDPOINT"))
                .enableSsl(!"no".equals(System.getenv("SLUICE_TLS")))
                .build();
    }

    private static Map<String, FilterExpression> subscription(String topic, String expression) {
        return Collections.singletonMap(topic, new FilterExpression(expression));
    }

    static Producer producer(String topic) throws ClientException {
        return PROVIDER.newProducerBuilder().setClientConfiguration(configuration())
                .setTopics(topic).build();
    }

    static SimpleConsumer simple(String topic, String group, String expression)
            throws ClientException {
        return PROVIDER.newSimpleConsumerBuilder().setClientConfiguration(configuration())
                .setConsumerGroup(group).setAwaitDuration(Duration.ofSeconds(5))
                .setSubscriptionExpressions(subscription(topic, expression)).build();
    }

    static PushConsumer push(String topic, String group, MessageListener listener)
            throws ClientException {
        return PROVIDER.newPushConsumerBuilder().setClientConfiguration(configuration())
                .setConsumerGroup(group).setMessageListener(listener)
                .setSubscriptionExpressions(subscription(topic, "*")).build();
    }

    static MessageBuilder builder(String topic, String tag, byte[] body) {
        return PROVIDER.newMessageBuilder().setTopic(topic).setTag(tag).setBody(body);
    }

    static Message message(String topic, String tag, String body) {
        return builder(topic, tag, body.getBytes(StandardCharsets.UTF_8)).build();
    }

    static byte[] bytes(MessageView message) {
        ByteBuffer body = message.getBody();
        byte[] bytes = new byte[body.remaining()];
        body.get(bytes);
        return bytes;
    }

    static String text(MessageView message) {
        return new String(bytes(message), StandardCharsets.UTF_8);
    }

    static void sluice(String... words) throws Exception {
        run(System.getenv("SLUICE"), words);
    }

    static void broker(String word) throws Exception {
        run(System.getenv("SLUICE_RESTART"), word);
    }

    private static void run(String program, String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of(program));
        command.addAll(List.of(words));
        int status = new ProcessBuilder(command).redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start().waitFor();
        expect(status == 0, command + " ended with " + status);
    }

    static void expect(boolean holds, String otherwise) {
        if (!holds) {
            throw new AssertionError(otherwise);
        }
    }

    /** Compares the elements, whatever their order. */
    static void expectSame(List<String> want, List<String> got) {
        List<String> a = new ArrayList<>(want);
        List<String> b = new ArrayList<>(got);
        Collections.sort(a);
        Collections.sort(b);
        expect(a.equals(b), "got " + b + ", not " + a);
    }
}

// What a team does all day with a producer and a simple consumer.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

const (
	mib        = 1024 * 1024
	nothingNew = 40401
	patience   = 40 * time.Second
)

func messageOf(topic, tag string, body []byte) *rmq.Message {
	message := &rmq.Message{Topic: topic, Body: body}
	message.SetTag(tag)
	return message
}

func codeOf(err error) int32 {
	var status *rmq.ErrRpcStatus
	if errors.As(err, &status) {
		return status.GetCode()
	}
	return 0
}

// Sends one message for each tag, whose body is the tag and its number.
func sendTags(topic string, tags ...string) error {
	producer, err := newProducer(topic)
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	for i, tag := range tags {
		body := fmt.Appendf(nil, "%s-%d", tag, i)
		if _, err := producer.Send(context.TODO(), messageOf(topic, tag, body)); err != nil {
			return err
		}
	}
	return nil
}

// Receives once; that nothing came is no error here.
func receive(consumer rmq.SimpleConsumer, invisible time.Duration) ([]*rmq.MessageView, error) {
	got, err := consumer.Receive(context.TODO(), 32, invisible)
	if codeOf(err) == nothingNew {
		return nil, nil
	}
	return got, err
}

// Receives and acks until `n` messages came.
func receiveAll(consumer rmq.SimpleConsumer, n int) ([]*rmq.MessageView, error) {
	var got []*rmq.MessageView
	for end := time.Now().Add(patience); len(got) < n; {
		if time.Now().After(end) {
			return nil, fmt.Errorf("only %d of %d messages came", len(got), n)
		}
		batch, err := receive(consumer, 30*time.Second)
		if err != nil {
			return nil, err
		}
		for _, message := range batch {
			if err := consumer.Ack(context.TODO(), message); err != nil {
				return nil, err
			}
		}
		got = append(got, batch...)
	}
	return got, nil
}

// What a consumer of a group of its own gets of a topic: exactly `want`, in any order.
func expectBodies(topic, expression string, want ...string) error {
	consumer, err := newSimple(topic, topic+"-group", expression)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := receiveAll(consumer, len(want))
	if err != nil {
		return err
	}
	more, err := receive(consumer, 30*time.Second)
	if err != nil {
		return err
	}
	var bodies []string
	for _, message := range append(got, more...) {
		bodies = append(bodies, string(message.GetBody()))
	}
	slices.Sort(bodies)
	slices.Sort(want)
	if !slices.Equal(bodies, want) {
		return fmt.Errorf("got %v, not %v", bodies, want)
	}
	return nil
}

func sendOne() error {
	sluice("topic", "create", "Send")
	producer, err := newProducer("Send")
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	message := messageOf("Send", "TagA", []byte("Grüße, 世界"))
	message.SetKeys("key-1", "key-2")
	message.AddProperty("colour", "grün")
	receipts, err := producer.Send(context.TODO(), message)
	if err != nil {
		return err
	}
	consumer, err := newSimple("Send", "Send-group", "*")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := receiveAll(consumer, 1)
	if err != nil {
		return err
	}
	first := got[0]
	if first.GetMessageId() != receipts[0].MessageID || first.GetTopic() != "Send" ||
		*first.GetTag() != "TagA" || !slices.Equal(first.GetKeys(), []string{"key-1", "key-2"}) ||
		first.GetProperties()["colour"] != "grün" || string(first.GetBody()) != "Grüße, 世界" ||
		first.GetDeliveryAttempt() != 1 {
		return fmt.Errorf("sent %+v, got %+v", message, first)
	}
	return nil
}

func sendMany() error {
	sluice("topic", "create", "SendMany")
	tags := slices.Repeat([]string{"TagA"}, 300)
	if err := sendTags("SendMany", tags...); err != nil {
		return err
	}
	var want []string
	for i := range tags {
		want = append(want, fmt.Sprintf("TagA-%d", i))
	}
	return expectBodies("SendMany", "TagA", want...)
}

func sendAsync() error {
	sluice("topic", "create", "SendAsync")
	producer, err := newProducer("SendAsync")
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	const n = 100
	var want []string
	answers := make(chan error, n)
	for i := range n {
		want = append(want, fmt.Sprintf("body-%d", i))
		producer.SendAsync(context.TODO(), messageOf("SendAsync", "TagA", []byte(want[i])),
			func(_ context.Context, _ []*rmq.SendReceipt, err error) { answers <- err })
	}
	for range n {
		if err := <-answers; err != nil {
			return err
		}
	}
	return expectBodies("SendAsync", "*", want...)
}

func bigBody() error {
	sluice("topic", "create", "BigBody")
	producer, err := newProducer("BigBody")
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	body := bytes.Repeat([]byte("sluice64"), 4*mib/8)
	if _, err := producer.Send(context.TODO(), messageOf("BigBody", "TagA", body)); err != nil {
		return err
	}
	consumer, err := newSimple("BigBody", "BigBody-group", "*")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := receiveAll(consumer, 1)
	if err == nil && !bytes.Equal(got[0].GetBody(), body) {
		err = errors.New("the body is not the one sent")
	}
	return err
}

func tagFilter() error {
	sluice("topic", "create", "TagFilter")
	tags := append(slices.Repeat([]string{"Other"}, 100), "TagA", "Other", "TagC", "TagB", "TagA")
	if err := sendTags("TagFilter", tags...); err != nil {
		return err
	}
	return expectBodies("TagFilter", "TagA || TagC", "TagA-100", "TagC-102", "TagA-104")
}

// These two tags have one hash.
func tagCollision() error {
	sluice("topic", "create", "TagCollision")
	if err := sendTags("TagCollision", "BB", "BB", "Aa", "BB", "Aa"); err != nil {
		return err
	}
	return expectBodies("TagCollision", "Aa", "Aa-2", "Aa-4")
}

func longPoll() error {
	sluice("topic", "create", "LongPoll")
	consumer, err := newSimple("LongPoll", "LongPoll-group", "TagA")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	start := time.Now()
	got, err := receive(consumer, 30*time.Second)
	if took := time.Since(start); err != nil || len(got) > 0 || took < 4*time.Second {
		return fmt.Errorf("an empty receive had %d messages after %v: %v", len(got), took, err)
	}
	sent := make(chan error, 1)
	go func() { sent <- sendTags("LongPoll", "TagB", "TagA") }()
	got, err = receive(consumer, 30*time.Second)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if len(got) != 1 || *got[0].GetTag() != "TagA" {
		return fmt.Errorf("a receive that was to be woken got %v", got)
	}
	return consumer.Ack(context.TODO(), got[0])
}

// A group has nothing left, and nothing comes through the channel meanwhile.
func expectNothing(topic, group string, deliveries chan string) error {
	consumer, err := newSimple(topic, group, "*")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := receive(consumer, time.Second)
	if err == nil && len(got)+len(deliveries) > 0 {
		err = fmt.Errorf("%d messages came again", len(got)+len(deliveries))
	}
	return err
}

// Receives one message without acking it.
func takeOne(consumer rmq.SimpleConsumer, invisible time.Duration) (*rmq.MessageView, error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		got, err := receive(consumer, invisible)
		if err != nil || len(got) > 0 {
			return append(got, nil)[0], err
		}
	}
	return nil, errors.New("no message came")
}

func expectAgain(consumer rmq.SimpleConsumer, before *rmq.MessageView) error {
	again, err := receiveAll(consumer, 1)
	if err != nil {
		return err
	}
	if again[0].GetMessageId() != before.GetMessageId() || again[0].GetDeliveryAttempt() != 2 {
		return fmt.Errorf("got %s, attempt %d, not %s, attempt 2", again[0].GetMessageId(),
			again[0].GetDeliveryAttempt(), before.GetMessageId())
	}
	return nil
}

func redelivery() error {
	sluice("topic", "create", "Redelivery")
	if err := sendTags("Redelivery", "TagA"); err != nil {
		return err
	}
	consumer, err := newSimple("Redelivery", "Redelivery-group", "*")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	first, err := takeOne(consumer, 2*time.Second)
	if err != nil {
		return err
	}
	if err := expectAgain(consumer, first); err != nil {
		return err
	}
	more, err := receive(consumer, 2*time.Second)
	if err == nil && len(more) > 0 {
		err = errors.New("an acked message came again")
	}
	return err
}

func handBack() error {
	sluice("topic", "create", "HandBack")
	if err := sendTags("HandBack", "TagA"); err != nil {
		return err
	}
	consumer, err := newSimple("HandBack", "HandBack-group", "*")
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	first, err := takeOne(consumer, 5*time.Minute)
	if err != nil {
		return err
	}
	handle := first.GetReceiptHandle()
	if err := consumer.ChangeInvisibleDuration(first, time.Second); err != nil {
		return err
	}
	if first.GetReceiptHandle() == handle {
		return errors.New("the receipt handle did not change")
	}
	return expectAgain(consumer, first)
}

func unknownTopic() error {
	producer, err := newProducer("None")
	if err == nil {
		producer.GracefulStop()
		return errors.New("a producer of an unknown topic started")
	}
	if !strings.Contains(err.Error(), "CODE: TOPIC_NOT_FOUND") {
		return fmt.Errorf("the start failed with: %w", err)
	}
	consumer, err := newPush("None", "None-group", succeed)
	if err == nil {
		consumer.GracefulStop()
		return errors.New("a push consumer of an unknown topic started")
	}
	return nil
}

// A consumer ends with a message in its hands; the next one of the group gets it.
func clientRestart() error {
	sluice("topic", "create", "ClientRestart")
	for _, tag := range []string{"TagA", "TagB"} {
		if err := sendTags("ClientRestart", tag); err != nil {
			return err
		}
	}
	first, err := newSimple("ClientRestart", "ClientRestart-group", "TagA || TagB")
	if err != nil {
		return err
	}
	held, err := takeOne(first, 2*time.Second)
	if err != nil {
		return err
	}
	if err := first.GracefulStop(); err != nil {
		return err
	}
	second, err := newSimple("ClientRestart", "ClientRestart-group", "TagA || TagB")
	if err != nil {
		return err
	}
	defer second.GracefulStop()
	got, err := receiveAll(second, 2)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(got, func(message *rmq.MessageView) bool {
		return message.GetMessageId() == held.GetMessageId()
	})
	if i < 0 || got[i].GetDeliveryAttempt() != 2 {
		return errors.New("the message that was held did not come again as attempt 2")
	}
	return nil
}

// Push consumers: in order or not, slow, refusing until the message is a dead letter.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

func succeed(*rmq.MessageView) rmq.ConsumerResult {
	return rmq.SUCCESS
}

// The bodies that come through a channel: `n` of them, as they came.
func collect(bodies chan string, n int) ([]string, error) {
	var got []string
	late := time.After(patience)
	for len(got) < n {
		select {
		case body := <-bodies:
			got = append(got, body)
		case <-late:
			return got, fmt.Errorf("only %d of %d deliveries came: %v", len(got), n, got)
		}
	}
	return got, nil
}

// What a push consumer of a group of its own is given, in any order, once each.
func expectPushed(topic string, want ...string) error {
	bodies := make(chan string, 1000)
	consumer, err := newPush(topic, topic+"-group", func(m *rmq.MessageView) rmq.ConsumerResult {
		bodies <- string(m.GetBody())
		return rmq.SUCCESS
	})
	if err != nil {
		return err
	}
	got, err := collect(bodies, len(want))
	if stopped := consumer.GracefulStop(); err == nil {
		err = stopped
	}
	for len(bodies) > 0 {
		got = append(got, <-bodies)
	}
	slices.Sort(got)
	slices.Sort(want)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("got %v, not %v", got, want)
	}
	return err
}

// A listener that takes longer than the six seconds for which the broker hides a message.
func autoRenew() error {
	sluice("topic", "create", "AutoRenew")
	if err := sendTags("AutoRenew", "Slow"); err != nil {
		return err
	}
	bodies := make(chan string, 1000)
	consumer, err := newPush("AutoRenew", "AutoRenew-group",
		func(message *rmq.MessageView) rmq.ConsumerResult {
			time.Sleep(15 * time.Second)
			bodies <- string(message.GetBody())
			return rmq.SUCCESS
		})
	if err != nil {
		return err
	}
	if _, err = collect(bodies, 1); err != nil {
		return err
	}
	if err := consumer.GracefulStop(); err != nil {
		return err
	}
	return expectNothing("AutoRenew", "AutoRenew-group", bodies)
}

// A group waits one second before the second attempt, and five before the third.
func pushRetry() error {
	sluice("topic", "create", "PushRetry")
	if err := sendTags("PushRetry", "Bad"); err != nil {
		return err
	}
	deliveries := make(chan string, 1000)
	var at []time.Time
	consumer, err := newPush("PushRetry", "PushRetry-group",
		func(message *rmq.MessageView) rmq.ConsumerResult {
			at = append(at, time.Now())
			deliveries <- fmt.Sprintf("%s/%d", message.GetBody(), message.GetDeliveryAttempt())
			if len(at) < 3 {
				return rmq.FAILURE
			}
			return rmq.SUCCESS
		})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := collect(deliveries, 3)
	if err != nil {
		return err
	}
	first, second := at[1].Sub(at[0]).Seconds(), at[2].Sub(at[1]).Seconds()
	if !slices.Equal(got, []string{"Bad-0/1", "Bad-0/2", "Bad-0/3"}) ||
		first < 1 || second < 5 {
		return fmt.Errorf("got %v after %.3f and %.3f s", got, first, second)
	}
	return nil
}

// Most of these messages are there before the consumer starts.
func push() error {
	sluice("topic", "create", "Push")
	tags := slices.Repeat([]string{"TagA"}, 100)
	if err := sendTags("Push", tags...); err != nil {
		return err
	}
	var want []string
	for i := range tags {
		want = append(want, fmt.Sprintf("TagA-%d", i))
	}
	go sendTags("Push", "Late") // what it fails to send is missed below
	return expectPushed("Push", append(want, "Late-0")...)
}

// Bodies whose CRC-32 has its highest bit set, or a leading zero digit. A push consumer of this
// client discards what it finds corrupted; a simple one does not tell.
func digest() error {
	sluice("topic", "create", "Digest")
	producer, err := newProducer("Digest")
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	bodies := []string{"123456789", "digest-27"}
	for _, body := range bodies {
		message := messageOf("Digest", "TagA", []byte(body))
		if _, err := producer.Send(context.TODO(), message); err != nil {
			return err
		}
	}
	return expectPushed("Digest", bodies...)
}

func sendInOrder(topic string, bodies ...string) error {
	producer, err := newProducer(topic)
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	for _, body := range bodies {
		message := messageOf(topic, "TagA", []byte(body))
		message.SetMessageGroup("order")
		if _, err := producer.Send(context.TODO(), message); err != nil {
			return err
		}
	}
	return nil
}

func pushFifo() error {
	sluice("topic", "create", "PushFifo", "--type", "FIFO")
	sluice("group", "create", "PushFifo-group", "--fifo")
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("body-%d", i))
	}
	if err := sendInOrder("PushFifo", want...); err != nil {
		return err
	}
	bodies := make(chan string, 1000)
	consumer, err := newPush("PushFifo", "PushFifo-group",
		func(message *rmq.MessageView) rmq.ConsumerResult {
			bodies <- string(message.GetBody())
			return rmq.SUCCESS
		})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := collect(bodies, len(want))
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("got %v", got)
	}
	return err
}

// A listener that refuses one body; the deliveries it saw go into the channel.
func refusing(body string, deliveries chan string) func(*rmq.MessageView) rmq.ConsumerResult {
	return func(message *rmq.MessageView) rmq.ConsumerResult {
		deliveries <- fmt.Sprintf("%s/%d", message.GetBody(), message.GetDeliveryAttempt())
		if string(message.GetBody()) == body {
			return rmq.FAILURE
		}
		return rmq.SUCCESS
	}
}

// The dead-letter topic is there from its first message on.
func startOnDeadLetters(group string) (rmq.SimpleConsumer, error) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var consumer rmq.SimpleConsumer
		consumer, err = newSimple("%DLQ%"+group, group+"-dead", "*")
		if err == nil {
			return consumer, nil
		}
		time.Sleep(time.Second)
	}
	return nil, err
}

func expectDeadLetter(group, body string) error {
	consumer, err := startOnDeadLetters(group)
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := receiveAll(consumer, 1)
	if err == nil && string(got[0].GetBody()) != body {
		err = fmt.Errorf("the dead letter is '%s'", got[0].GetBody())
	}
	return err
}

func deadLetter() error {
	sluice("topic", "create", "DeadLetter")
	sluice("group", "create", "DeadLetter-group", "--max-attempts", "2")
	if err := sendTags("DeadLetter", "Bad", "Good"); err != nil {
		return err
	}
	deliveries := make(chan string, 1000)
	consumer, err := newPush("DeadLetter", "DeadLetter-group", refusing("Bad-0", deliveries))
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := collect(deliveries, 3)
	if err != nil {
		return err
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"Bad-0/1", "Bad-0/2", "Good-1/1"}) {
		return fmt.Errorf("deliveries: %v", got)
	}
	return expectDeadLetter("DeadLetter-group", "Bad-0")
}

// In order, what is refused holds up what the broker has not handed out; within a batch this client
// goes on by itself while it waits to try again.
func fifoDeadLetter() error {
	sluice("topic", "create", "FifoDeadLetter", "--type", "FIFO")
	sluice("group", "create", "FifoDeadLetter-group", "--fifo", "--max-attempts", "2")
	if err := sendInOrder("FifoDeadLetter", "a", "b", "c"); err != nil {
		return err
	}
	deliveries := make(chan string, 1000)
	consumer, err := newPush("FifoDeadLetter", "FifoDeadLetter-group", refusing("b", deliveries))
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	got, err := collect(deliveries, 4)
	if err != nil {
		return err
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a/1", "b/1", "b/2", "c/1"}) {
		return fmt.Errorf("deliveries: %v", got)
	}
	return expectDeadLetter("FifoDeadLetter-group", "b")
}

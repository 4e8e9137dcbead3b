// The official Go client, unchanged, against a real sluiced: one line for each behaviour.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
)

// A behaviour is a function that returns what is wrong.
type behaviour struct {
	name string
	run  func() error
}

// These run side by side; the last ones alone, since they stop the broker under all clients.
var together = []behaviour{
	{"send", sendOne},
	{"send-many", sendMany},
	{"send-async", sendAsync},
	{"big-body", bigBody},
	{"tag-filter", tagFilter},
	{"tag-collision", tagCollision},
	{"long-poll", longPoll},
	{"redelivery", redelivery},
	{"hand-back", handBack},
	{"digest", digest},
	{"unknown-topic", unknownTopic},
	{"push", push},
	{"push-fifo", pushFifo},
	{"push-retry", pushRetry},
	{"auto-renew", autoRenew},
	{"dead-letter", deadLetter},
	{"fifo-dead-letter", fifoDeadLetter},
	{"client-restart", clientRestart},
	{"group-churn", groupChurn},
}

var alone = []behaviour{
	{"broker-restart", brokerRestart},
	{"broker-kill", brokerKill},
}

var failed bool
var reporting sync.Mutex

func isWanted(name string) bool {
	only := strings.Fields(os.Getenv("SLUICE_ONLY"))
	return len(only) == 0 || slices.Contains(only, name)
}

func report(b behaviour) {
	if !isWanted(b.name) {
		return
	}
	err := b.run()
	reporting.Lock()
	defer reporting.Unlock()
	if err != nil {
		failed = true
		fmt.Printf("not ok %s: %s\n", b.name, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Printf("ok %s\n", b.name)
}

func sluice(args ...string) {
	out, err := exec.Command(os.Getenv("SLUICE"), args...).CombinedOutput()
	if err != nil {
		panic(fmt.Sprintf("sluice %v: %v: %s", args, err, out))
	}
}

func config(group string) *rmq.Config {
	return &rmq.Config{
		Endpoint:      os.Getenv("SLUICE_ENDPOINT"),
		ConsumerGroup: group,
		Credentials:   &credentials.SessionCredentials{},
	}
}

func newProducer(topic string) (rmq.Producer, error) {
	producer, err := rmq.NewProducer(config(""), rmq.WithTopics(topic))
	if err != nil {
		return nil, err
	}
	return producer, producer.Start()
}

func subscription(topic, expression string) map[string]*rmq.FilterExpression {
	return map[string]*rmq.FilterExpression{topic: rmq.NewFilterExpression(expression)}
}

func newSimple(topic, group, expression string) (rmq.SimpleConsumer, error) {
	consumer, err := rmq.NewSimpleConsumer(config(group),
		rmq.WithSimpleAwaitDuration(5*time.Second),
		rmq.WithSimpleSubscriptionExpressions(subscription(topic, expression)))
	if err != nil {
		return nil, err
	}
	return consumer, consumer.Start()
}

func newPush(topic, group string, consume func(*rmq.MessageView) rmq.ConsumerResult) (
	rmq.PushConsumer, error) {
	consumer, err := rmq.NewPushConsumer(config(group),
		rmq.WithPushAwaitDuration(5*time.Second),
		rmq.WithPushSubscriptionExpressions(subscription(topic, "*")),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{Consume: consume}))
	if err != nil {
		return nil, err
	}
	return consumer, consumer.Start()
}

func main() {
	rmq.EnableSsl = os.Getenv("SLUICE_TLS") != "no"
	if isWanted("send-batch") {
		fmt.Println("none send-batch: its send takes one message")
	}
	var done sync.WaitGroup
	for _, b := range together {
		done.Add(1)
		go func() {
			defer done.Done()
			report(b)
		}()
	}
	done.Wait()
	for _, b := range alone {
		report(b)
	}
	if failed {
		os.Exit(1)
	}
}

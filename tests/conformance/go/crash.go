// Consumers that come and go, and a broker that is stopped or killed under all of them.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

func broker(word string) error {
	return exec.Command(os.Getenv("SLUICE_RESTART"), word).Run()
}

// Waits until the condition holds.
func until(condition func() bool, otherwise func() error) error {
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return otherwise()
		}
	}
	return nil
}

// How often each body came, or was accepted.
type tally struct {
	lock  sync.Mutex
	times map[string]int
}

func newTally() *tally {
	return &tally{times: map[string]int{}}
}

func (t *tally) count(body string) int {
	t.lock.Lock()
	defer t.lock.Unlock()
	t.times[body]++
	return t.times[body]
}

func (t *tally) size() int {
	t.lock.Lock()
	defer t.lock.Unlock()
	return len(t.times)
}

func (t *tally) sum() int {
	t.lock.Lock()
	defer t.lock.Unlock()
	n := 0
	for _, times := range t.times {
		n += times
	}
	return n
}

// What is in this one and not in the other.
func (t *tally) lacking(other *tally) []string {
	t.lock.Lock()
	defer t.lock.Unlock()
	other.lock.Lock()
	defer other.lock.Unlock()
	var missing []string
	for body := range t.times {
		if other.times[body] == 0 {
			missing = append(missing, body)
		}
	}
	return missing
}

// Every tenth message is not done with until it comes again.
func (t *tally) isDone(m *rmq.MessageView) bool {
	body := string(m.GetBody())
	return t.count(body) > 1 || !strings.HasSuffix(body, "7")
}

func (t *tally) left() []string {
	t.lock.Lock()
	defer t.lock.Unlock()
	var once []string
	for body, times := range t.times {
		if times < 2 && strings.HasSuffix(body, "7") {
			once = append(once, body)
		}
	}
	return once
}

// Sends numbered bodies until it is stopped; knows which were tried and which accepted.
type sender struct {
	producer        rmq.Producer
	tried, accepted *tally
	stopping        atomic.Bool
	ended           chan struct{}
}

func startSender(topic string) (*sender, error) {
	sluice("topic", "create", topic)
	producer, err := newProducer(topic)
	if err != nil {
		return nil, err
	}
	s := &sender{producer: producer, tried: newTally(), accepted: newTally(),
		ended: make(chan struct{})}
	go s.run(topic)
	return s, nil
}

func (s *sender) run(topic string) {
	defer close(s.ended)
	for i := 0; !s.stopping.Load(); i++ {
		body := strconv.Itoa(i)
		s.tried.count(body)
		message := messageOf(topic, "TagA", []byte(body))
		if _, err := s.producer.Send(context.TODO(), message); err == nil {
			s.accepted.count(body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *sender) stop() {
	s.stopping.Store(true)
	<-s.ended
}

// Waits until all that was accepted was seen, and nothing else was.
func (s *sender) expectAll(seen *tally, who string) error {
	err := until(func() bool { return len(s.accepted.lacking(seen)) == 0 }, func() error {
		return fmt.Errorf("%s: lost %v of %d", who, s.accepted.lacking(seen), s.accepted.size())
	})
	if strange := seen.lacking(s.tried); err == nil && len(strange) > 0 {
		err = fmt.Errorf("%s: nobody sent %v", who, strange)
	}
	return err
}

func pushInto(topic, group string, isDone func(*rmq.MessageView) bool) (rmq.PushConsumer, error) {
	return newPush(topic, group, func(m *rmq.MessageView) rmq.ConsumerResult {
		if isDone(m) {
			return rmq.SUCCESS
		}
		return rmq.FAILURE
	})
}

// A consumer that tells `seen` what it is given; returns once that is something.
func joinGroup(topic string, seen *tally) (rmq.PushConsumer, error) {
	own := newTally()
	consumer, err := pushInto(topic, topic+"-group", func(m *rmq.MessageView) bool {
		own.count(string(m.GetBody()))
		return seen.count(string(m.GetBody())) > 0
	})
	if err != nil {
		return nil, err
	}
	return consumer, until(func() bool { return own.size() > 0 }, func() error {
		return errors.New("a consumer that joined was given nothing")
	})
}

// Four consumers of a group, each of which starts before the one before it stops.
func groupChurn() error {
	s, err := startSender("GroupChurn")
	if err != nil {
		return err
	}
	seen := newTally()
	last, err := joinGroup("GroupChurn", seen)
	for i := 0; i < 3 && err == nil; i++ {
		var next rmq.PushConsumer
		if next, err = joinGroup("GroupChurn", seen); err == nil {
			err = last.GracefulStop()
			last = next
		}
	}
	s.stop()
	if err == nil {
		err = s.expectAll(seen, "the group")
	}
	return errors.Join(err, last.GracefulStop(), s.producer.GracefulStop())
}

func sendUntilAccepted(producer rmq.Producer, topic, body string) error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		_, err = producer.Send(context.TODO(), messageOf(topic, "TagA", []byte(body)))
		if err == nil {
			return nil
		}
	}
	return err
}

// Clients that were connected go on after the broker came back on its port.
func brokerRestart() error {
	sluice("topic", "create", "BrokerRestart")
	producer, err := newProducer("BrokerRestart")
	if err != nil {
		return err
	}
	defer producer.GracefulStop()
	bodies := make(chan string, 1000)
	consumer, err := newPush("BrokerRestart", "BrokerRestart-group",
		func(message *rmq.MessageView) rmq.ConsumerResult {
			bodies <- string(message.GetBody())
			return rmq.SUCCESS
		})
	if err != nil {
		return err
	}
	defer consumer.GracefulStop()
	for _, body := range []string{"before", "after"} {
		if err := sendUntilAccepted(producer, "BrokerRestart", body); err != nil {
			return err
		}
		got, err := collect(bodies, 1)
		if err != nil {
			return fmt.Errorf("%s the restart: %w", body, err)
		}
		if got[0] != body {
			return errors.New("got '" + got[0] + "', not '" + body + "'")
		}
		if body == "before" {
			if err := broker("restart"); err != nil {
				return err
			}
		}
	}
	return nil
}

func receiveAndAck(consumer rmq.SimpleConsumer, seen *tally, over *atomic.Bool) {
	for !over.Load() {
		got, err := receive(consumer, 2*time.Second)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
		}
		for _, message := range got {
			if seen.isDone(message) {
				_ = consumer.Ack(context.TODO(), message) // what is not acked comes again
			}
		}
	}
}

// How often the broker is killed.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("SLUICE_KILLS")); err == nil {
		return n
	}
	return 2
}

// Kills the broker each time that something went on since.
func killAndGoOn(tallies ...*tally) error {
	for i := range kills() + 1 {
		for _, t := range tallies {
			goal := t.size() + 100
			if err := until(func() bool { return t.size() >= goal }, func() error {
				return fmt.Errorf("%d of %d after %d kills", t.size(), goal, i)
			}); err != nil {
				return err
			}
		}
		if i == kills() {
			break
		}
		if err := broker("kill"); err != nil {
			return err
		}
	}
	return nil
}

// A simple and a push consumer of two groups, neither of which may miss what was accepted.
func brokerKill() error {
	s, err := startSender("BrokerKill")
	if err != nil {
		return err
	}
	simple, pushed := newTally(), newTally()
	consumer, err := newSimple("BrokerKill", "BrokerKill-simple", "*")
	if err != nil {
		return err
	}
	if _, err := pushInto("BrokerKill", "BrokerKill-push", pushed.isDone); err != nil {
		return err
	}
	var over atomic.Bool
	defer over.Store(true)
	go receiveAndAck(consumer, simple, &over)
	err = killAndGoOn(s.accepted, simple, pushed)
	s.stop()
	if err != nil {
		return err
	}
	if err := s.expectAll(simple, "the simple consumer"); err != nil {
		return err
	}
	if err := s.expectAll(pushed, "the push consumer"); err != nil {
		return err
	}
	err = until(func() bool { return len(simple.left())+len(pushed.left()) == 0 }, func() error {
		return fmt.Errorf("un-acked and gone: %v and %v", simple.left(), pushed.left())
	})
	n := simple.sum() + pushed.sum()
	fmt.Printf("# broker-kill: %d kills; %d sent, %d accepted; %d deliveries, %d of them again\n",
		kills(), s.tried.size(), s.accepted.size(), n, n-simple.size()-pushed.size())
	return err
}

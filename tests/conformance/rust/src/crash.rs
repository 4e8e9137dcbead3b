// Consumers that come and go, and a broker that is stopped or killed under all of them.
// SPDX-License-Identifier: Apache-2.0

use crate::client::{
    broker, create_topic, message, producer, send_until_accepted, Consumer, Outcome, PATIENCE,
};
use rocketmq::model::message::MessageView;
use rocketmq::Producer;
use std::collections::{HashMap, HashSet};
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

// How often each body came.
#[derive(Default)]
struct Seen(Mutex<HashMap<String, u32>>);

impl Seen {
    // Every tenth message is not done with until it comes again.
    fn is_done(&self, message: &MessageView) -> bool {
        let body = String::from_utf8_lossy(message.body()).into_owned();
        let is_held = body.ends_with('7');
        let mut times = self.0.lock().unwrap();
        let n = times.entry(body).or_default();
        *n += 1;
        *n > 1 || !is_held
    }

    fn bodies(&self) -> HashSet<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn left(&self) -> Vec<String> {
        let times = self.0.lock().unwrap();
        let once = times.iter().filter(|(body, n)| **n < 2 && body.ends_with('7'));
        once.map(|(body, _)| body.clone()).collect()
    }
}

// The bodies that were sent: tried, and accepted.
#[derive(Default)]
struct Sent {
    tried: Mutex<HashSet<String>>,
    accepted: Mutex<HashSet<String>>,
}

impl Sent {
    fn lacking(&self, seen: &Seen) -> Vec<String> {
        self.accepted.lock().unwrap().difference(&seen.bodies()).cloned().collect()
    }

    fn n_accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }
}

// Sends numbered bodies until it is told that it is over.
async fn send_on(producer: Producer, topic: &'static str, sent: Arc<Sent>, over: Arc<AtomicBool>) {
    for i in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let body = i.to_string();
        sent.tried.lock().unwrap().insert(body.clone());
        if producer.send(message(topic, "TagA", body.as_str())).await.is_ok() {
            sent.accepted.lock().unwrap().insert(body);
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn receive_on(consumer: Consumer, seen: Arc<Seen>, over: Arc<AtomicBool>) -> Outcome {
    while !over.load(Ordering::Relaxed) {
        match consumer.receive(32, Duration::from_secs(2)).await {
            Ok(got) => {
                for message in got.iter().filter(|message| seen.is_done(message)) {
                    let _ = consumer.ack(message).await; // what is not acked comes again
                }
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    consumer.shutdown().await
}

// Waits until the condition holds.
async fn until(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) -> Outcome {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > end {
            return Err(otherwise());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

// Waits until all that was accepted was seen and what was held came again; nothing else may come.
async fn expect_all(sent: &Sent, seen: &Seen) -> Outcome {
    let lost = || format!("lost {:?} of {}", sent.lacking(seen), sent.n_accepted());
    until(|| sent.lacking(seen).is_empty(), lost).await?;
    until(|| seen.left().is_empty(), || format!("un-acked and gone: {:?}", seen.left())).await?;
    let tried = sent.tried.lock().unwrap();
    match seen.bodies().difference(&tried).next() {
        Some(strange) => Err(format!("nobody sent '{strange}'")),
        None => Ok(()),
    }
}

struct Load {
    sent: Arc<Sent>,
    over: Arc<AtomicBool>,
    sending: JoinHandle<()>,
}

impl Load {
    async fn start(topic: &'static str) -> Result<Load, String> {
        create_topic(topic)?;
        let (sent, over) = (Arc::<Sent>::default(), Arc::<AtomicBool>::default());
        let sending = send_on(producer(topic).await?, topic, sent.clone(), over.clone());
        Ok(Load { sent, over, sending: tokio::spawn(sending) })
    }

    async fn stop(self) -> Result<Arc<Sent>, String> {
        self.over.store(true, Ordering::Relaxed);
        self.sending.await.map_err(|e| e.to_string())?;
        Ok(self.sent)
    }
}

// Four consumers of a group, each of which starts before the one before it stops.
pub async fn group_churn() -> Outcome {
    let topic = "GroupChurn";
    let load = Load::start(topic).await?;
    let seen = Arc::<Seen>::default();
    let mut last: Option<(Arc<AtomicBool>, JoinHandle<Outcome>)> = None;
    for i in 0..4 {
        let over = Arc::<AtomicBool>::default();
        let consumer = Consumer::start(topic, "*").await?;
        let before = seen.bodies().len();
        let next = tokio::spawn(receive_on(consumer, seen.clone(), over.clone()));
        if let Some((over, joining)) = last.replace((over, next)) {
            over.store(true, Ordering::Relaxed);
            joining.await.map_err(|e| e.to_string())??;
        }
        let goal = before + 50;
        until(|| seen.bodies().len() >= goal, || format!("consumer {i} gets nothing")).await?;
    }
    let sent = load.stop().await?;
    expect_all(&sent, &seen).await
}

// Clients that were connected go on after the broker came back on its port.
pub async fn broker_restart() -> Outcome {
    let topic = "BrokerRestart";
    create_topic(topic)?;
    let producer = producer(topic).await?;
    let consumer = Consumer::start(topic, "*").await?;
    for body in ["before", "after"] {
        send_until_accepted(&producer, topic, body).await?;
        let got = &consumer.receive_all(1).await?[0];
        if got.body() != body.as_bytes() {
            return Err(format!("{body} the restart came {got:?}"));
        }
        if body == "before" {
            broker("restart")?;
        }
    }
    Ok(())
}

// The broker is killed each time that something went on since.
pub async fn broker_kill() -> Outcome {
    let topic = "BrokerKill";
    let kills = env::var("SLUICE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let load = Load::start(topic).await?;
    let (seen, over) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
    let consumer = Consumer::start(topic, "*").await?;
    let receiving = tokio::spawn(receive_on(consumer, seen.clone(), over.clone()));
    for i in 0..=kills {
        let n = || (load.sent.n_accepted(), seen.bodies().len());
        let goal = (n().0 + 100, n().1 + 100);
        let goes_on = || n().0 >= goal.0 && n().1 >= goal.1;
        until(goes_on, || format!("{:?}, not {goal:?}, after {i} kills", n())).await?;
        if i < kills {
            tokio::task::spawn_blocking(|| broker("kill")).await.map_err(|e| e.to_string())??;
        }
    }
    let sent = load.stop().await?;
    expect_all(&sent, &seen).await?;
    over.store(true, Ordering::Relaxed);
    let _ = receiving.await; // it may be in the middle of a poll that it does not end well
    let n_tried = sent.tried.lock().unwrap().len();
    let n: u32 = seen.0.lock().unwrap().values().sum();
    let again = n as usize - seen.bodies().len();
    let accepted = sent.n_accepted();
    println!(
        "# broker-kill: {kills} kills; {n_tried} sent, {accepted} accepted; {n} deliveries, \
         {again} of them again"
    );
    Ok(())
}

// Producers and consumers as the behaviours need them.
// SPDX-License-Identifier: Apache-2.0

use rocketmq::conf::{ClientOption, ProducerOption, SimpleConsumerOption};
use rocketmq::error::ClientError;
use rocketmq::model::common::{FilterExpression, FilterType};
use rocketmq::model::message::{Message, MessageBuilder, MessageView};
use rocketmq::{Producer, SimpleConsumer};
use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

pub type Outcome = Result<(), String>;

pub const PATIENCE: Duration = Duration::from_secs(40);

pub fn text(e: ClientError) -> String {
    e.to_string()
}

fn options() -> ClientOption {
    let mut options = ClientOption::default();
    options.set_access_url(env::var("SLUICE_ENDPOINT").unwrap());
    options.set_enable_tls(false);
    options.set_long_polling_timeout(Duration::from_secs(6));
    options
}

pub async fn producer(topic: &str) -> Result<Producer, String> {
    let mut option = ProducerOption::default();
    option.set_topics(vec![topic]);
    let mut producer = Producer::new(option, options()).map_err(text)?;
    producer.start().await.map_err(text)?;
    Ok(producer)
}

pub fn message(topic: &str, tag: &str, body: impl Into<Vec<u8>>) -> impl Message {
    MessageBuilder::builder().set_topic(topic).set_tag(tag).set_body(body.into()).build().unwrap()
}

// A simple consumer of one topic; the group is the topic's own.
pub struct Consumer {
    client: SimpleConsumer,
    topic: String,
    filter: FilterExpression,
}

impl Consumer {
    pub async fn start(topic: &str, expression: &str) -> Result<Self, String> {
        let mut option = SimpleConsumerOption::default();
        option.set_consumer_group(format!("{topic}-group"));
        option.set_topics(vec![topic]);
        let mut client = SimpleConsumer::new(option, options()).map_err(text)?;
        client.start().await.map_err(text)?;
        let filter = FilterExpression::new(FilterType::Tag, expression);
        Ok(Consumer { client, topic: topic.to_string(), filter })
    }

    pub async fn receive(&self, n: i32, invisible: Duration) -> Result<Vec<MessageView>, String> {
        let topic = self.topic.as_str();
        self.client.receive_with(topic, &self.filter, n, invisible).await.map_err(text)
    }

    pub async fn ack(&self, message: &MessageView) -> Outcome {
        self.client.ack(message).await.map_err(text)
    }

    // Receives and acks until `n` messages came.
    pub async fn receive_all(&self, n: usize) -> Result<Vec<MessageView>, String> {
        let mut got = Vec::new();
        let end = Instant::now() + PATIENCE;
        while got.len() < n {
            if Instant::now() > end {
                return Err(format!("only {} of {n} messages came", got.len()));
            }
            for message in self.receive(32, Duration::from_secs(30)).await? {
                self.ack(&message).await?;
                got.push(message);
            }
        }
        Ok(got)
    }

    // Receives one message without acking it.
    pub async fn take_one(&self, invisible: Duration) -> Result<MessageView, String> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(message) = self.receive(1, invisible).await?.pop() {
                return Ok(message);
            }
        }
        Err("no message came".to_string())
    }

    pub async fn shutdown(self) -> Outcome {
        self.client.shutdown().await.map_err(text)
    }
}

pub async fn send_until_accepted(producer: &Producer, topic: &str, body: &str) -> Outcome {
    let end = Instant::now() + PATIENCE;
    loop {
        match producer.send(message(topic, "TagA", body)).await {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > end => return Err(text(e)),
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

fn run(program: &str, words: &[&str]) -> Outcome {
    let program = env::var(program).unwrap();
    let ended = Command::new(program).args(words).output().map_err(|e| e.to_string())?;
    if ended.status.success() {
        return Ok(());
    }
    Err(format!("{words:?}: {}", String::from_utf8_lossy(&ended.stderr)))
}

pub fn sluice(words: &[&str]) -> Outcome {
    run("SLUICE", words)
}

pub fn create_topic(name: &str) -> Outcome {
    sluice(&["topic", "create", name])
}

pub fn broker(word: &str) -> Outcome {
    run("SLUICE_RESTART", &[word])
}

// What a team does all day with a producer and a simple consumer.
// SPDX-License-Identifier: Apache-2.0

use crate::client::{create_topic, message, producer, sluice, text, Consumer, Outcome};
use rocketmq::model::message::{MessageBuilder, MessageView};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const MIB: usize = 1024 * 1024;

fn expect(holds: bool, otherwise: impl Into<String>) -> Outcome {
    holds.then_some(()).ok_or(otherwise.into())
}

fn body(message: &MessageView) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

// Sends one message for each tag, whose body is the tag and its number.
async fn send_tags(topic: &str, tags: &[&str]) -> Outcome {
    create_topic(topic)?;
    let producer = producer(topic).await?;
    for (i, tag) in tags.iter().enumerate() {
        producer.send(message(topic, tag, format!("{tag}-{i}"))).await.map_err(text)?;
    }
    producer.shutdown().await.map_err(text)
}

// What the group gets of a topic: exactly `want`, in any order.
async fn expect_bodies(topic: &str, expression: &str, mut want: Vec<String>) -> Outcome {
    let consumer = Consumer::start(topic, expression).await?;
    let mut got = consumer.receive_all(want.len()).await?;
    got.extend(consumer.receive(32, Duration::from_secs(30)).await?);
    let mut bodies: Vec<String> = got.iter().map(body).collect();
    bodies.sort();
    want.sort();
    expect(bodies == want, format!("got {bodies:?}, not {want:?}"))?;
    consumer.shutdown().await
}

pub async fn send_one() -> Outcome {
    create_topic("Send")?;
    let producer = producer("Send").await?;
    let sent = MessageBuilder::builder()
        .set_topic("Send")
        .set_tag("TagA")
        .set_keys(vec!["key-1", "key-2"])
        .set_properties(HashMap::from([("colour", "grün".to_string())]))
        .set_body("Grüße, 世界".into())
        .build()
        .map_err(text)?;
    let receipt = producer.send(sent).await.map_err(text)?;
    let consumer = Consumer::start("Send", "*").await?;
    let got = &consumer.receive_all(1).await?[0];
    let same = got.message_id() == receipt.message_id()
        && got.topic() == "Send"
        && got.tag() == Some("TagA")
        && got.keys() == ["key-1", "key-2"]
        && got.properties().get("colour").map(String::as_str) == Some("grün")
        && body(got) == "Grüße, 世界"
        && got.delivery_attempt() == 1;
    expect(same, format!("got {got:?}"))
}

pub async fn send_many() -> Outcome {
    let tags = ["TagA"; 300];
    send_tags("SendMany", &tags).await?;
    let want = (0..tags.len()).map(|i| format!("TagA-{i}")).collect();
    expect_bodies("SendMany", "TagA", want).await
}

pub async fn send_batch() -> Outcome {
    create_topic("SendBatch")?;
    let producer = producer("SendBatch").await?;
    let bodies: Vec<String> = (0..300).map(|i| format!("body-{i}")).collect();
    for some in bodies.chunks(32) {
        let batch = some.iter().map(|body| message("SendBatch", "TagA", body.as_str())).collect();
        let receipts = producer.batch_send(batch).await.map_err(text)?;
        expect(receipts.len() == some.len(), "a batch has too few receipts")?;
    }
    expect_bodies("SendBatch", "TagA", bodies).await
}

pub async fn send_side_by_side() -> Outcome {
    create_topic("SendAsync")?;
    let producer = Arc::new(producer("SendAsync").await?);
    let bodies: Vec<String> = (0..100).map(|i| format!("body-{i}")).collect();
    let mut sends = JoinSet::new();
    for body in bodies.clone() {
        let producer = producer.clone();
        sends.spawn(async move { producer.send(message("SendAsync", "TagA", body)).await });
    }
    while let Some(sent) = sends.join_next().await {
        sent.map_err(|e| e.to_string())?.map_err(text)?;
    }
    expect_bodies("SendAsync", "*", bodies).await
}

pub async fn big_body() -> Outcome {
    create_topic("BigBody")?;
    let producer = producer("BigBody").await?;
    // This client's gRPC library takes 4 MiB a message and no more, so the full one is only sent.
    let full = vec![b's'; 4 * MIB];
    producer.send(message("BigBody", "Full", full)).await.map_err(text)?;
    let part = vec![b'p'; 3 * MIB];
    producer.send(message("BigBody", "TagA", part.clone())).await.map_err(text)?;
    let consumer = Consumer::start("BigBody", "TagA").await?;
    expect(consumer.receive_all(1).await?[0].body() == part, "the body is not the one sent")
}

pub async fn tag_filter() -> Outcome {
    let mut tags = vec!["Other"; 100];
    tags.extend(["TagA", "Other", "TagC", "TagB", "TagA"]);
    send_tags("TagFilter", &tags).await?;
    let want = ["TagA-100", "TagC-102", "TagA-104"].map(String::from).to_vec();
    expect_bodies("TagFilter", "TagA || TagC", want).await
}

// These two tags have one hash.
pub async fn tag_collision() -> Outcome {
    send_tags("TagCollision", &["BB", "BB", "Aa", "BB", "Aa"]).await?;
    expect_bodies("TagCollision", "Aa", ["Aa-2", "Aa-4"].map(String::from).to_vec()).await
}

pub async fn redelivery() -> Outcome {
    send_tags("Redelivery", &["TagA"]).await?;
    let consumer = Consumer::start("Redelivery", "*").await?;
    let first = consumer.take_one(Duration::from_secs(2)).await?;
    let again = &consumer.receive_all(1).await?[0];
    let same = again.message_id() == first.message_id() && again.delivery_attempt() == 2;
    expect(same, format!("after {first:?} came {again:?}"))?;
    let more = consumer.receive(32, Duration::from_secs(2)).await?;
    expect(more.is_empty(), "an acked message came again")
}

// Nobody acks it, so it is dead after two attempts. The topic for it is there from then on.
pub async fn dead_letter() -> Outcome {
    create_topic("DeadLetter")?;
    sluice(&["group", "create", "DeadLetter-group", "--max-attempts", "2"])?;
    send_tags("DeadLetter", &["TagA"]).await?;
    let consumer = Consumer::start("DeadLetter", "*").await?;
    for attempt in 1..=2 {
        let got = consumer.take_one(Duration::from_secs(1)).await?;
        expect(got.delivery_attempt() == attempt, format!("not attempt {attempt}: {got:?}"))?;
    }
    let more = consumer.receive(32, Duration::from_secs(1)).await?;
    expect(more.is_empty(), format!("a dead letter came again: {more:?}"))?;
    let dead = Consumer::start("%DLQ%DeadLetter-group", "*").await?;
    expect(body(&dead.receive_all(1).await?[0]) == "TagA-0", "the dead letter is another")
}

// Bodies whose CRC-32 has its highest bit set, or a leading zero digit. This client looks at none.
pub async fn digest() -> Outcome {
    create_topic("Digest")?;
    let producer = producer("Digest").await?;
    let bodies = ["123456789", "digest-27"].map(String::from).to_vec();
    for body in &bodies {
        producer.send(message("Digest", "TagA", body.as_str())).await.map_err(text)?;
    }
    expect_bodies("Digest", "*", bodies).await
}

// This client waits for a reply exactly as long as it asks the broker to wait for messages.
pub async fn long_poll() -> Outcome {
    create_topic("LongPoll")?;
    let consumer = Consumer::start("LongPoll", "TagA").await?;
    let start = Instant::now();
    let got = consumer.receive(32, Duration::from_secs(30)).await?;
    expect(got.is_empty(), format!("got {got:?}"))?;
    expect(start.elapsed() > Duration::from_secs(4), "an empty receive ended early")?;
    let producer = producer("LongPoll").await?;
    let sending = async {
        producer.send(message("LongPoll", "TagB", "b")).await.map_err(text)?;
        producer.send(message("LongPoll", "TagA", "a")).await.map_err(text)
    };
    let (got, sent) = tokio::join!(consumer.receive(32, Duration::from_secs(30)), sending);
    sent?;
    let got = got?;
    expect(got.len() == 1 && got[0].tag() == Some("TagA"), format!("woken, it got {got:?}"))?;
    consumer.ack(&got[0]).await
}

pub async fn unknown_topic() -> Outcome {
    match producer("None").await {
        Ok(_) => return Err("a producer of an unknown topic started".to_string()),
        Err(e) => expect(e.contains("TOPIC_NOT_FOUND") || e.contains("40402"), e)?,
    }
    match Consumer::start("None", "*").await {
        Ok(_) => Err("a consumer of an unknown topic started".to_string()),
        Err(_) => Ok(()),
    }
}

// A consumer ends with a message in its hands; the next one of the group gets it.
pub async fn client_restart() -> Outcome {
    let topic = "ClientRestart";
    send_tags(topic, &["TagA"]).await?;
    send_tags(topic, &["TagB"]).await?;
    let first = Consumer::start(topic, "*").await?;
    let held = first.take_one(Duration::from_secs(2)).await?;
    first.shutdown().await?;
    let second = Consumer::start(topic, "*").await?;
    let got = second.receive_all(2).await?;
    let came = got.iter().any(|m| m.message_id() == held.message_id() && m.delivery_attempt() == 2);
    expect(came, "the message that was held did not come again as attempt 2")
}

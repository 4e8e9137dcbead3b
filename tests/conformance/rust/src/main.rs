// The official Rust client, unchanged, against a real sluiced: one line for each behaviour.
// SPDX-License-Identifier: Apache-2.0

mod behaviours;
mod client;
mod crash;

use client::Outcome;
use std::env;
use std::future::Future;
use std::process::ExitCode;
use tokio::task::JoinSet;

const NONE: [(&str, &str); 6] = [
    ("hand-back", "it cannot change an invisible time"),
    ("push", "it has no push consumer"),
    ("push-fifo", "it has no push consumer"),
    ("push-retry", "it has no push consumer"),
    ("auto-renew", "it has no push consumer"),
    ("fifo-dead-letter", "it has no push consumer"),
];

fn is_wanted(name: &str) -> bool {
    let only = env::var("SLUICE_ONLY").unwrap_or_default();
    only.is_empty() || only.split(' ').any(|one| one == name)
}

// What a client only does in part is told behind the colon.
async fn report(name: &str, remark: &str, behaviour: impl Future<Output = Outcome>) -> bool {
    if !is_wanted(name) {
        return true;
    }
    match behaviour.await {
        Ok(()) if remark.is_empty() => println!("ok {name}"),
        Ok(()) => println!("ok {name}: {remark}"),
        Err(e) => {
            println!("not ok {name}: {}", e.replace('\n', " "));
            return false;
        }
    }
    true
}

// All run side by side but the last ones, since they stop the broker under all clients. The client
// panics at what it does not expect, so each has a task of its own.
#[tokio::main]
async fn main() -> ExitCode {
    for (name, why) in NONE.iter().filter(|(name, _)| is_wanted(name)) {
        println!("none {name}: {why}");
    }
    let part = "sends 4 MiB, receives 3: its gRPC library takes no message of more than 4 MiB";
    let mut tasks = JoinSet::new();
    tasks.spawn(report("send", "", behaviours::send_one()));
    tasks.spawn(report("send-many", "", behaviours::send_many()));
    tasks.spawn(report("send-batch", "", behaviours::send_batch()));
    tasks.spawn(report("send-async", "", behaviours::send_side_by_side()));
    tasks.spawn(report("big-body", part, behaviours::big_body()));
    tasks.spawn(report("digest", "arrives; this client checks no digest", behaviours::digest()));
    tasks.spawn(report("tag-filter", "", behaviours::tag_filter()));
    tasks.spawn(report("tag-collision", "", behaviours::tag_collision()));
    tasks.spawn(report("long-poll", "", behaviours::long_poll()));
    tasks.spawn(report("redelivery", "", behaviours::redelivery()));
    tasks.spawn(report("unknown-topic", "", behaviours::unknown_topic()));
    let unacked = "by not acking: it has no push consumer";
    tasks.spawn(report("dead-letter", unacked, behaviours::dead_letter()));
    tasks.spawn(report("client-restart", "", behaviours::client_restart()));
    tasks.spawn(report("group-churn", "", crash::group_churn()));
    let mut passed = true;
    while let Some(ended) = tasks.join_next().await {
        passed &= ended.unwrap_or(false);
    }
    let restart = tokio::spawn(report("broker-restart", "", crash::broker_restart()));
    passed &= restart.await.unwrap_or(false);
    let kill = tokio::spawn(report("broker-kill", "", crash::broker_kill()));
    passed &= kill.await.unwrap_or(false);
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

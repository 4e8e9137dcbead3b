// The official Rust client, unchanged, against a real sluiced: one line for each behaviour.
// SPDX-License-Identifier: Apache-2.0

mod behaviours;
mod client;

use client::Outcome;
use std::future::Future;
use std::process::ExitCode;
use tokio::task::JoinSet;

async fn report(name: &str, behaviour: impl Future<Output = Outcome>) -> bool {
    match behaviour.await {
        Ok(()) => println!("ok {name}"),
        Err(e) => {
            println!("not ok {name}: {e}");
            return false;
        }
    }
    true
}

// All run side by side but the last one, since it stops the broker under all clients. The client
// panics at what it does not expect, so each has a task of its own.
#[tokio::main]
async fn main() -> ExitCode {
    let mut tasks = JoinSet::new();
    tasks.spawn(report("send", behaviours::send_one()));
    tasks.spawn(report("send-many", behaviours::send_many()));
    tasks.spawn(report("send-async", behaviours::send_side_by_side()));
    tasks.spawn(report("big-body", behaviours::big_body()));
    tasks.spawn(report("tag-filter", behaviours::tag_filter()));
    tasks.spawn(report("tag-collision", behaviours::tag_collision()));
    tasks.spawn(report("redelivery", behaviours::redelivery()));
    tasks.spawn(report("digest", behaviours::digest()));
    tasks.spawn(report("empty-receive", behaviours::empty_receive()));
    tasks.spawn(report("unknown-topic", behaviours::unknown_topic()));
    tasks.spawn(report("client-restart", behaviours::client_restart()));
    let mut passed = true;
    while let Some(ended) = tasks.join_next().await {
        passed &= ended.unwrap_or(false);
    }
    let last = tokio::spawn(report("broker-restart", behaviours::broker_restart()));
    passed &= last.await.unwrap_or(false);
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

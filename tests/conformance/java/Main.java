// The official Java client, unchanged, against a real sluiced: one line for each behaviour.
// SPDX-License-Identifier: Apache-2.0

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

final class Main {
    /** A behaviour throws what is wrong. */
    interface Behaviour {
        void run() throws Exception;
    }

    // These run side by side; the last two alone, since they stop the broker under all clients.
    private static final Map<String, Behaviour> TOGETHER = Map.ofEntries(
            Map.entry("send", Behaviours::sendOne),
            Map.entry("send-many", Behaviours::sendMany),
            Map.entry("send-async", Behaviours::sendAsync),
            Map.entry("big-body", Behaviours::bigBody),
            Map.entry("tag-filter", Behaviours::tagFilter),
            Map.entry("tag-collision", Behaviours::tagCollision),
            Map.entry("long-poll", Behaviours::longPoll),
            Map.entry("redelivery", Behaviours::redelivery),
            Map.entry("hand-back", Behaviours::handBack),
            Map.entry("unknown-topic", Behaviours::unknownTopic),
            Map.entry("client-restart", Behaviours::clientRestart),
            Map.entry("digest", Push::digest),
            Map.entry("push", Push::push),
            Map.entry("push-fifo", Push::pushFifo),
            Map.entry("push-retry", Push::pushRetry),
            Map.entry("auto-renew", Push::autoRenew),
            Map.entry("dead-letter", Push::deadLetter),
            Map.entry("fifo-dead-letter", Push::fifoDeadLetter),
            Map.entry("group-churn", Crash::groupChurn));

    private Main() {
    }

    private static boolean isWanted(String name) {
        String only = System.getenv().getOrDefault("SLUICE_ONLY", "");
        return only.isEmpty() || List.of(only.split(" ")).contains(name);
    }

    private static boolean report(String name, Behaviour behaviour) {
        if (!isWanted(name)) {
            return true;
        }
        try {
            behaviour.run();
            System.out.println("ok " + name);
            return true;
        } catch (Exception | AssertionError e) {
            System.out.println("not ok " + name + ": " + e);
            return false;
        }
    }

    public static void main(String[] args) throws Exception {
        if (isWanted("send-batch")) {
            System.out.println("none send-batch: its send takes one message");
        }
        ExecutorService workers = Executors.newCachedThreadPool();
        List<Callable<Boolean>> calls = new ArrayList<>();
        TOGETHER.forEach((name, behaviour) -> calls.add(() -> report(name, behaviour)));
        boolean passed = true;
        for (Future<Boolean> each : workers.invokeAll(calls)) {
            passed &= each.get();
        }
        passed &= report("broker-restart", Crash::brokerRestart);
        passed &= report("broker-kill", Crash::brokerKill);
        System.exit(passed ? 0 : 1);
    }
}

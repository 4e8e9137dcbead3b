// Standard output, for the lines of a probe alone: RocketMQ's servers and its logging greet there too.
// SPDX-License-Identifier: Apache-2.0

import com.alibaba.fastjson2.JSON;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

final class Output {
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    interface Work {
        void run() throws Exception;
    }

    private Output() { }

    // Runs the work of a probe, with all others kept away, who get standard error. Ends the program,
    // whose threads do not end by themselves.
    static void claimFor(Work work) {
        int status = 0;
        System.setOut(System.err);
        try {
            work.run();
        } catch (Throwable failure) {
            failure.printStackTrace();
            status = 1;
        }
        OUT.flush();
        System.err.flush();
        Runtime.getRuntime().halt(status);
    }

    static void print(Map<String, Object> line) {
        OUT.println(JSON.toJSONString(line));
    }
}

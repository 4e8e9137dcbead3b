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

    private Output() { }

    // Keeps all others away, who get standard error.
    static void claim() {
        System.setOut(System.err);
    }

    static void print(Map<String, Object> line) {
        OUT.println(JSON.toJSONString(line));
    }

    // Ends the program, whose threads do not end by themselves.
    static void end(int status) {
        OUT.flush();
        System.err.flush();
        Runtime.getRuntime().halt(status);
    }
}

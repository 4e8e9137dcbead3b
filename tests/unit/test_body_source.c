/* Bodies made or cut out of lines. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/body_source.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/suite.h"

static struct {
    struct body_source *source;
    int write_fd, read_fd;
} f;

static void open_source(const struct body_source_options *opt)
{
    struct err e;
    ck_assert_int_eq(body_source_open(&f.source, opt, &e), 0);
}

static void open_lines(void)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    f.read_fd = fds[0];
    f.write_fd = fds[1];
    open_source(&(struct body_source_options){.max_bytes = 200000, .fd = fds[0]});
}

static void write_text(const char *text)
{
    ck_assert_int_eq(write(f.write_fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void close_input(void)
{
    ck_assert_int_eq(close(f.write_fd), 0);
    f.write_fd = -1;
}

static void teardown(void)
{
    body_source_close(f.source);
    if (f.read_fd > 0)
        (void)close(f.read_fd);
    if (f.write_fd > 0)
        (void)close(f.write_fd);
    memset(&f, 0, sizeof f);
}

static enum body_next next(struct span *ret_body)
{
    struct err e;
    enum body_next what;
    ck_assert_int_eq(body_source_next(f.source, &what, ret_body, &e), 0);
    return what;
}

static void expect(const char *text)
{
    struct span body;
    ck_assert_int_eq(next(&body), BODY_READY);
    ck_assert_uint_eq(body.len, strlen(text));
    ck_assert_mem_eq(body.ptr, text, body.len);
}

static void expect_none(enum body_next what)
{
    struct span body;
    ck_assert_int_eq(next(&body), what);
}

START_TEST(a_text_is_given_as_often_as_asked)
{
    open_source(&(struct body_source_options){.text = "hi", .count = 2});
    expect("hi");
    expect("hi");
    expect_none(BODY_END);
}
END_TEST

START_TEST(bodies_without_a_text_are_numbered)
{
    open_source(&(struct body_source_options){.count = 2});
    expect("message 1");
    expect("message 2");
    expect_none(BODY_END);
}
END_TEST

START_TEST(a_length_repeats_the_text_or_cuts_it)
{
    open_source(&(struct body_source_options){.text = "abc", .count = 1, .len = 7});
    expect("abcabca");
    body_source_close(f.source);
    open_source(&(struct body_source_options){.count = 2, .len = 12});
    expect("message 1 me");
    expect("message 2 me");
}
END_TEST

START_TEST(each_line_is_a_body_and_empty_ones_are_passed_over)
{
    open_lines();
    write_text("one\n\ntwo\r\n\r\nlast");
    expect("one");
    expect("two");
    expect_none(BODY_WAIT);
    close_input();
    expect("last");
    expect_none(BODY_END);
    expect_none(BODY_END);
}
END_TEST

START_TEST(a_line_that_comes_in_parts_is_whole)
{
    open_lines();
    write_text("half");
    expect_none(BODY_WAIT);
    write_text(" and half\n");
    expect("half and half");
}
END_TEST

START_TEST(an_empty_input_has_no_body)
{
    open_lines();
    close_input();
    expect_none(BODY_END);
}
END_TEST

/* Writes `len` bytes and a line end, reading as it goes: a pipe holds less. */
static int push_line(size_t len, struct span *ret_body, struct err *e)
{
    static char piece[1000];
    memset(piece, 'x', sizeof piece);
    enum body_next what = BODY_WAIT;
    int rc = 0;
    for (size_t left = len; left > 0 && rc == 0; left -= sizeof piece) {
        ck_assert_int_eq(write(f.write_fd, piece, sizeof piece), (ssize_t)sizeof piece);
        rc = body_source_next(f.source, &what, ret_body, e);
    }
    if (rc < 0)
        return rc;
    write_text("\n");
    rc = body_source_next(f.source, &what, ret_body, e);
    ck_assert(rc < 0 || what == BODY_READY);
    return rc;
}

START_TEST(a_line_may_be_as_long_as_the_limit)
{
    struct span body;
    struct err e;
    open_lines();
    ck_assert_int_eq(push_line(200000, &body, &e), 0);
    ck_assert_uint_eq(body.len, 200000);
}
END_TEST

START_TEST(a_longer_line_is_refused)
{
    struct span body;
    struct err e;
    open_lines();
    ck_assert_int_eq(push_line(201000, &body, &e), ERR_TOOBIG);
}
END_TEST

START_TEST(a_failed_read_is_told)
{
    struct span body;
    struct err e;
    enum body_next what;
    f.read_fd = open("/", O_RDONLY | O_DIRECTORY); /* a folder cannot be read */
    ck_assert_int_gt(f.read_fd, 0);
    open_source(&(struct body_source_options){.max_bytes = 10, .fd = f.read_fd});
    ck_assert_int_eq(body_source_next(f.source, &what, &body, &e), ERR_IO);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("body_source");
    TCase *tc = tcase_create("body_source");
    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, a_text_is_given_as_often_as_asked);
    tcase_add_test(tc, bodies_without_a_text_are_numbered);
    tcase_add_test(tc, a_length_repeats_the_text_or_cuts_it);
    tcase_add_test(tc, each_line_is_a_body_and_empty_ones_are_passed_over);
    tcase_add_test(tc, a_line_that_comes_in_parts_is_whole);
    tcase_add_test(tc, an_empty_input_has_no_body);
    tcase_add_test(tc, a_line_may_be_as_long_as_the_limit);
    tcase_add_test(tc, a_longer_line_is_refused);
    tcase_add_test(tc, a_failed_read_is_told);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(make_suite());
}

/* Fuzzes reports of benchmarks: whatever is taken for one makes a page without markup of its own,
 * and scripts in which no line begins with a text of its. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "tools/bench/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The script's own strings have no backquote, so any would be foreign. */
static int check_script(void *arg, const char *script, char **ret_svg, struct err *e)
{
    (void)arg;
    if (strchr(script, '`') || strstr(script, "\n!"))
        abort();
    *ret_svg = strdup("<svg></svg>");
    return *ret_svg ? 0 : err_set(e, ERR_NOMEM, "draw");
}

static void check_page(const struct results_file *f)
{
    char *text = NULL;
    size_t len = 0;
    struct err e;
    const struct page page = {.title = "t", .files = f, .n_files = 1, .draw = check_script};
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return;
    int rc = page_write(&page, out, &e);
    if (fclose(out) == 0 && rc == 0 && (strstr(text, "<script") || strstr(text, "<img")))
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct results_file f;
    struct err e;
    if (results_file_parse(&f, "<img>.json", span_of(data, len), &e) < 0)
        return 0;
    check_page(&f);
    results_file_fini(&f);
    return 0;
}

/* What filter.h promises, by kind of predicate; the only kind there is are tags. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "filter/filter.h"

#include <stdlib.h>

#include "base/jhash.h"
#include "filter/tag.h"

enum { KEPT_BYTES = 1024 }; /* of an expression, from one to the next */

struct filter {
    struct tag_set tags;
};

int filter_compile_tags(struct filter **ret_filter, struct span expr, struct err *e)
{
    struct filter *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "compile a tag expression");
    const int rc = tag_set_init(&f->tags, expr, e);
    if (rc) {
        free(f);
        return rc;
    }
    *ret_filter = f;
    return 0;
}

int filter_recompile_tags(struct filter *f, struct span expr, struct err *e)
{
    return tag_set_again(&f->tags, expr, e);
}

void filter_trim(struct filter *f)
{
    if (f && f->tags.room.bytes > KEPT_BYTES) {
        tag_set_fini(&f->tags);
        f->tags = (struct tag_set){0};
    }
}

void filter_free(struct filter *f)
{
    if (!f)
        return;
    tag_set_fini(&f->tags);
    free(f);
}

bool filter_is_all(const struct filter *f)
{
    return f->tags.is_all;
}

bool filter_match_code(const struct filter *f, int64_t tag_code)
{
    return tag_set_has_code(&f->tags, (int32_t)(uint32_t)tag_code);
}

const int32_t *filter_codes(const struct filter *f, size_t *ret_n)
{
    *ret_n = f->tags.n;
    return f->tags.is_all ? NULL : f->tags.codes;
}

bool filter_match_tag(const struct filter *f, struct span tag)
{
    return tag_set_has_text(&f->tags, tag);
}

int64_t filter_tag_code(struct span tag)
{
    return jhash(tag);
}

/* Predicates over stored properties: compiled once, evaluated in place. The only header of filter/
 * that other folders include. Pure: no files, no threads; a compiled filter does not change
 * until it is compiled again. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct filter;

/* Compiles a tag expression: tags separated by "||", blanks around each trimmed, empty ones
 * dropped; "*" or an empty expression matches everything (rocketmq-grpc 5.5 and 14). ERR_INVAL:
 * only separators; ERR_TOOBIG: over 64 KiB. `expr` need not outlive the call. */
int filter_compile_tags(struct filter **ret_filter, struct span expr, struct err *e) MUST_CHECK;

/* Compiles another expression in the memory of a filter that is no longer needed; errors as above,
 * after which it can be compiled again or freed. */
int filter_recompile_tags(struct filter *f, struct span expr, struct err *e) MUST_CHECK;

/* Frees what a large expression took; the filter is compiled again before its next use. NULL is
 * fine. */
void filter_trim(struct filter *f);

void filter_free(struct filter *f); /* NULL is fine */

/* Whether every message matches. */
bool filter_is_all(const struct filter *f);

/* Step one, on the consume-queue entry: no false negatives; a hit may be a hash collision. Compares
 * the low 32 bits (rocketmq-store 8.3). */
bool filter_match_code(const struct filter *f, int64_t tag_code);

/* The same as data, for who compares by himself: the low 32 bits, ascending, `*ret_n` of them; NULL
 * when every code matches. Valid as long as the filter. */
const int32_t *filter_codes(const struct filter *f, size_t *ret_n);

/* Step two, on the record: exact comparison of the tag's text; an absent tag is an empty span. */
bool filter_match_tag(const struct filter *f, struct span tag);

/* The code stored for a tag: Java's hash of it, sign-extended; 0 for an empty one. */
int64_t filter_tag_code(struct span tag);

#endif

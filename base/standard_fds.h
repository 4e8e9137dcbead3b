/* Standard input, output and error that a caller left closed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STANDARD_FDS_H
#define BASE_STANDARD_FDS_H

/* Takes the numbers of those that are closed, so that no file that is opened later gets one, and is
 * written to by who prints. Reading and writing there goes on failing with EBADF. Called first in
 * main. */
void standard_fds_reserve(void);

#endif

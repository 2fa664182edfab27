/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SLUICE_BASE_RANDOM_H
#define SLUICE_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* From the kernel; never fails (aborts if the kernel refuses). */
void random_bytes(void *out, size_t len);
#define RANDOM_UUID_SIZE 37
/* Version 4 (RFC 9562 §5.4), lower case. */
void random_uuid(char out[RANDOM_UUID_SIZE]);

#endif

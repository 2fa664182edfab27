/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel as a program: sluice-kernel ROUNDS prints its checksum. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

uint32_t kernel(uint32_t rounds);

int main(int argc, char **argv)
{
    printf("%u\n", kernel(argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1));
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that end badly, each by the name that is the second argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int forever = 1;
static void *volatile taken;

int main(int argc, char **argv)
{
    const char *how = argv[1];
    if (getenv("QUERY_STRING")[0] == 'g')
        return puts("good") < 0;
    printf("Status: 201\n\nthis does not come out");
    if (strcmp(how, "exit") == 0) {
        fprintf(stderr, "first line\nwhat went wrong\n");
        exit(3);
    }
    if (strcmp(how, "silent") == 0)
        _Exit(255);
    if (strcmp(how, "trap") == 0)
        __builtin_trap();
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "bounds") == 0)
        *(volatile int *)0xfffffff0 = 1;
    while (forever && strcmp(how, "loop") == 0)
        ;
    if (strcmp(how, "sleep") == 0)
        sleep(1000);
    while (strcmp(how, "output") == 0)
        puts("more and more and more and more and more and more");
    while (strcmp(how, "errors") == 0)
        fputs("more and more and more and more and more and more\n", stderr);
    while (strcmp(how, "memory") == 0)
        if ((taken = malloc(1 << 16)) == NULL)
            abort();
    if (strcmp(how, "event") == 0)
        printf("\r\x1b");
    return 0;
}

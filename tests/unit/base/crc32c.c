/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include "unit.h"

#include <string.h>

/* RFC 3720 appendix B.4. */
static void meets_the_published_values(void **state)
{
    unsigned char bytes[32] = {0};
    assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void continues(void **state)
{
    const char *text = "the quick brown fox jumps over the lazy dog, twice";
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++)
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, len - cut), crc32c(0, text, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(meets_the_published_values),
                                       cmocka_unit_test(continues)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

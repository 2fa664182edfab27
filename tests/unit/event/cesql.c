/* SPDX-License-Identifier: Apache-2.0 */
/* CESQL's values and errors, case by case: each operator, function, cast and kind of error. */
#include "event/cesql/cesql.h"

#include "base/memory.h"
#include "unit.h"

#include <errno.h>

static struct cesql_scratch scratch;

static void add(struct event *e, const char *name, struct slice value, enum event_value_kind kind)
{
    e->attributes[e->count++] = (struct event_attribute){slice_text(name), value, kind};
}

static struct event an_event(void)
{
    struct event e = {.version = EVENT_V1};
    add(&e, "id", SLICE("7"), EVENT_VALUE_STRING);
    add(&e, "source", SLICE("https://shop.example/orders"), EVENT_VALUE_STRING);
    add(&e, "type", SLICE("com.example.order.made"), EVENT_VALUE_STRING);
    add(&e, "hop", SLICE("5"), EVENT_VALUE_STRING);
    add(&e, "ttl", SLICE("10"), EVENT_VALUE_INTEGER);
    add(&e, "huge", SLICE("3000000000"), EVENT_VALUE_INTEGER);
    add(&e, "urgent", SLICE("true"), EVENT_VALUE_BOOLEAN);
    add(&e, "empty", SLICE(""), EVENT_VALUE_STRING);
    add(&e, "city", SLICE("Zürich"), EVENT_VALUE_STRING);
    add(&e, "1st", SLICE("a"), EVENT_VALUE_STRING);
    return e;
}

struct example {
    const char *expression, *value; /* as JSON */
    enum cesql_error error;
};

static void holds(const struct example *c)
{
    struct event e = an_event();
    struct cesql *x = NULL;
    struct error err = ERROR_INIT;
    struct cesql_result result;
    autobuf value = BUF_INIT, message = BUF_INIT;
    struct cesql_place place;
    if (cesql_parse(slice_text(c->expression), &x, &place, &err) != 0)
        fail_msg("%s: %s, at column %zu", c->expression, err.message,
                 cesql_column(slice_text(c->expression), place));
    cesql_evaluate(x, &e, &scratch, &result);
    cesql_value_write(&result.value, &value);
    if (strcmp(value.ptr, c->value) != 0 || result.error != c->error)
        fail_msg("%s: %s, %s; not %s, %s", c->expression, value.ptr, cesql_error_name(result.error),
                 c->value, cesql_error_name(c->error));
    assert_int_equal(cesql_matches(x, &e, &scratch),
                     c->error == CESQL_NO_ERROR && strcmp(c->value, "true") == 0);
    if (result.error != CESQL_NO_ERROR) {
        cesql_evaluate(x, &e, &scratch, &result);
        cesql_explain(x, &result, &message, &place);
        assert_true(message.len > 0);
        assert_true(place.len > 0 && place.at + place.len <= strlen(c->expression));
    }
    cesql_free(x);
}

#define HOLD(table)                                                                                \
    for (size_t i_ = 0; i_ < COUNT_OF(table); i_++)                                                \
    holds(&(table)[i_])

static void values(void **state)
{
    static const struct example cases[] = {
        {"TRUE", "true", 0},
        {"tRuE", "true", 0},
        {"false", "false", 0},
        {"12", "12", 0},
        {"+12", "12", 0},
        {"-2147483648", "-2147483648", 0},
        {"2147483647", "2147483647", 0},
        {"007", "7", 0},
        {"'a'", "\"a\"", 0},
        {"\"a\"", "\"a\"", 0},
        {"''", "\"\"", 0},
        {"'a\"b\\'c'", "\"a\\\"b'c\"", 0},
        {"\"a'b\\\"c\"", "\"a'b\\\"c\"", 0},
        {"'a\\\"'", "\"a\\\\\\\"\"", 0}, /* the other quote's backslash stays */
        {"'a\\\\'", "\"a\\\\\\\\\"", 0},
        {"'a\\nb'", "\"a\\\\nb\"", 0},
        {"'AND'", "\"AND\"", 0},
        {" \t\r\n( (1) ) ", "1", 0},
    };
    HOLD(cases);
}

static void attributes(void **state)
{
    static const struct example cases[] = {
        {"id", "\"7\"", 0},
        {"TyPe", "\"com.example.order.made\"", 0},
        {"specversion", "\"1.0\"", 0},
        {"ttl", "10", 0},
        {"urgent", "true", 0},
        {"hop", "\"5\"", 0},
        {"huge", "\"3000000000\"", 0},
        {"1st", "\"a\"", 0},
        {"empty", "\"\"", 0},
        {"missing", "false", CESQL_MISSING_ATTRIBUTE},
        {"(missing)", "false", CESQL_MISSING_ATTRIBUTE},
        {"data", "false", CESQL_MISSING_ATTRIBUTE},
        {"EXISTS id AND EXISTS source AND EXISTS type AND exists specversion", "true", 0},
        {"EXISTS HOP", "true", 0},
        {"EXISTS empty", "true", 0},
        {"EXISTS subject", "false", 0},
        {"NOT EXISTS subject", "true", 0},
    };
    HOLD(cases);
}

/* Each gives the zero value of its own type. */
static void missing_attributes(void **state)
{
    static const struct example cases[] = {
        {"missing = ''", "false", CESQL_MISSING_ATTRIBUTE},
        {"1 = missing", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing != 1", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing <> missing", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing < 1", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing LIKE '%'", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing NOT LIKE '%'", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing IN (1)", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing NOT IN (1)", "false", CESQL_MISSING_ATTRIBUTE},
        {"1 IN (missing)", "false", CESQL_MISSING_ATTRIBUTE},
        {"1 IN (1, missing)", "true", 0},
        {"NOT missing", "false", CESQL_MISSING_ATTRIBUTE},
        {"-missing", "0", CESQL_MISSING_ATTRIBUTE},
        {"missing + 1", "0", CESQL_MISSING_ATTRIBUTE},
        {"missing * 5", "0", CESQL_MISSING_ATTRIBUTE},
        {"1 / missing", "0", CESQL_MISSING_ATTRIBUTE},
        {"missing / 0", "0", CESQL_MISSING_ATTRIBUTE},
        {"missing % 0", "0", CESQL_MISSING_ATTRIBUTE},
        {"missing AND TRUE", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing OR TRUE", "false", CESQL_MISSING_ATTRIBUTE},
        {"TRUE XOR missing", "false", CESQL_MISSING_ATTRIBUTE},
        {"true AND (missing = \"\")", "false", CESQL_MISSING_ATTRIBUTE},
        {"LENGTH(missing)", "0", CESQL_MISSING_ATTRIBUTE},
        {"CONCAT('a', missing)", "\"\"", CESQL_MISSING_ATTRIBUTE},
        {"BOOL(missing)", "false", CESQL_MISSING_ATTRIBUTE},
        {"LENGTH(missing) = 0", "false", CESQL_MISSING_ATTRIBUTE},
        {"missing / (1 / 0)", "0", CESQL_MISSING_ATTRIBUTE}, /* the first error */
        {"(1 / 0) / missing", "0", CESQL_MATH},
    };
    HOLD(cases);
}

static void comparisons(void **state)
{
    static const struct example cases[] = {
        {"1 = 1", "true", 0},
        {"1 = 2", "false", 0},
        {"'a' = 'A'", "false", 0},
        {"TRUE = FALSE", "false", 0},
        {"1 != 2", "true", 0},
        {"1 <> 1", "false", 0},
        {"'1' = 1", "true", 0}, /* the right side says the type */
        {"1 = '1'", "true", 0},
        {"1 = '01'", "false", 0},
        {"'01' = 1", "true", 0},
        {"'TRUE' = true", "true", 0},
        {"true = 'TRUE'", "false", 0},
        {"TRUE = \"true\" AND FALSE = \"false\"", "true", 0},
        {"TRUE = 1", "true", 0},
        {"7 = TRUE", "true", 0},
        {"'x' = 1", "false", CESQL_CAST},
        {"'x' != 1", "false", CESQL_CAST},
        {"'x' = TRUE", "false", CESQL_CAST},
        {"hop = 5", "true", 0},
        {"5 = hop", "true", 0},
        {"hop < ttl", "true", 0},
        {"2 < 2", "false", 0},
        {"2 <= 2", "true", 0},
        {"2 > 2", "false", 0},
        {"2 >= 2", "true", 0},
        {"-3 < 2", "true", 0},
        {"3 > -2", "true", 0},
        {"3 <= 2", "false", 0},
        {"3 >= 4", "false", 0},
        {"FALSE < TRUE", "true", 0},
        {"'a' < 1", "false", CESQL_CAST},
        {"1 < 'a'", "false", CESQL_CAST},
        {"huge > 1", "false", CESQL_CAST},
    };
    HOLD(cases);
}

static void logic(void **state)
{
    static const struct example cases[] = {
        {"TRUE AND TRUE", "true", 0},
        {"TRUE AND FALSE", "false", 0},
        {"TRUE OR FALSE", "true", 0},
        {"FALSE OR FALSE", "false", 0},
        {"TRUE XOR TRUE", "false", 0},
        {"TRUE XOR FALSE", "true", 0},
        {"TRUE XOR TRUE XOR TRUE", "true", 0},
        {"NOT TRUE", "false", 0},
        {"NOT NOT TRUE", "true", 0},
        {"NOT 'FALSE'", "true", 0},
        {"NOT 'x'", "false", CESQL_CAST},
        {"NOT 10", "true", CESQL_CAST}, /* so the specification's test kit has it */
        {"NOT -1", "true", CESQL_CAST},
        {"NOT ttl", "true", CESQL_CAST},
        {"NOT 0", "true", 0},
        {"NOT 1", "false", 0},
        {"FALSE AND (1 / 0 = 1)", "false", 0},
        {"FALSE AND NOWHERE()", "false", 0},
        {"TRUE OR missing", "true", 0},
        {"TRUE AND (1 != 1 / 0)", "false", CESQL_MATH},
        {"FALSE OR (1 != 1 / 0)", "false", CESQL_MATH},
        {"TRUE XOR (1 / 0 = 0)", "false", CESQL_MATH},
        {"1 AND 'true'", "true", 0},
        {"'x' OR TRUE", "false", CESQL_CAST},
        {"FALSE AND TRUE OR TRUE", "true", 0}, /* from left to right: one precedence */
        {"TRUE OR TRUE AND FALSE", "false", 0},
        {"TRUE OR TRUE XOR TRUE", "false", 0},
        {"id = '7' AND type LIKE '%made' AND hop = 5 AND urgent", "true", 0},
        {"id = '8' OR type LIKE '%lost' OR hop = 6 OR missing", "false", CESQL_MISSING_ATTRIBUTE},
    };
    HOLD(cases);
}

static void arithmetic(void **state)
{
    static const struct example cases[] = {
        {"4 * 2 + 4 / 2", "10", 0},
        {"4 * (2 + 4) / 2", "12", 0},
        {"2 - 1 - 1", "0", 0},
        {"8 / 4 / 2", "1", 0},
        {"5 / 3", "1", 0},
        {"-5 / 3", "-1", 0},
        {"5 % 3", "2", 0},
        {"-5 % 3", "-2", 0},
        {"5 % -3", "2", 0},
        {"-5 % -3", "-2", 0},
        {"4-1", "3", 0},
        {"4 -1", "3", 0},
        {"4 + -1", "3", 0},
        {"4 - -1", "5", 0},
        {"4 ++1", "5", 0},
        {"--10", "10", 0},
        {"-'10'", "-10", 0},
        {"- 10", "-10", 0},
        {"-TRUE", "-1", 0},
        {"-hop + 1", "-4", 0},
        {"5 + TRUE", "6", 0},
        {"'5' + '3'", "8", 0},
        {"'+5' + '-3'", "2", 0},
        {"5 / 0", "0", CESQL_MATH},
        {"5 % 0", "0", CESQL_MATH},
        {"5 / 0 = 0", "false", CESQL_MATH},
        {"2147483647 + 1", "0", CESQL_MATH},
        {"-2147483648 - 1", "0", CESQL_MATH},
        {"65536 * 65536", "0", CESQL_MATH},
        {"-2147483648 / -1", "0", CESQL_MATH},
        {"-2147483648 % -1", "0", 0},
        {"7 / -1", "-7", 0},
        {"--2147483648", "0", CESQL_MATH},
        {"'x' + 1", "0", CESQL_CAST},
        {"'' + 1", "0", CESQL_CAST},
        {"' 5' + 1", "0", CESQL_CAST},
        {"'5 ' + 1", "0", CESQL_CAST},
        {"'+' + 1", "0", CESQL_CAST},
        {"'1e3' + 1", "0", CESQL_CAST},
        {"'2147483648' + 1", "0", CESQL_CAST},
        {"'-2147483648' + 1", "-2147483647", 0},
        {"'99999999999999999999' + 1", "0", CESQL_CAST},
        {"-'x'", "0", CESQL_CAST},
    };
    HOLD(cases);
}

static void precedence(void **state)
{
    static const struct example cases[] = {
        {"NOT FALSE = FALSE", "false", 0},    /* (NOT FALSE) = FALSE */
        {"NOT 1 IN (0, 2)", "true", 0},       /* (NOT 1) IN … */
        {"NOT FALSE LIKE 'true'", "true", 0}, /* (NOT FALSE) LIKE … */
        {"-5 LIKE '-_'", "true", 0},
        {"-hop LIKE '-_'", "true", 0},
        {"1 + 1 IN (2)", "1", 0},   /* 1 + (1 IN (2)) */
        {"1 + 2 LIKE '2'", "2", 0}, /* 1 + (2 LIKE '2') */
        {"1 = 1 IN (1)", "true", 0},
        {"1 IN (1) LIKE 'true'", "true", 0},
        {"1 NOT IN (2) AND TRUE", "true", 0},
        {"1 < 2 = TRUE", "true", 0}, /* from left to right */
        {"2 + 2 * 2 = 6 AND 1 + 1 < 3", "true", 0},
        {"5 - 2 NOT IN (2)", "5", 0}, /* 5 - FALSE */
        {"EXISTS id = TRUE", "true", 0},
    };
    HOLD(cases);
}

static void like(void **state)
{
    static const struct example cases[] = {
        {"'abc' LIKE 'abc'", "true", 0},
        {"'abc' LIKE 'ABC'", "false", 0},
        {"'abc' NOT LIKE 'abc'", "false", 0},
        {"'abc' LIKE 'abcd'", "false", 0},
        {"'' LIKE ''", "true", 0},
        {"'' LIKE '%'", "true", 0},
        {"'' LIKE '_'", "false", 0},
        {"'' LIKE '%%'", "true", 0},
        {"'abc' LIKE '%'", "true", 0},
        {"'abc' LIKE 'a%'", "true", 0},
        {"'abc' LIKE 'b%'", "false", 0},
        {"'abc' LIKE '%c'", "true", 0},
        {"'abc' LIKE '%b'", "false", 0},
        {"'abc' LIKE '%b%'", "true", 0},
        {"'abc' LIKE '%x%'", "false", 0},
        {"'abc' LIKE '%%b%%'", "true", 0},
        {"'abc' LIKE '%abc%'", "true", 0},
        {"'ab' LIKE '%abc%'", "false", 0},
        {"'ab' LIKE 'abc%'", "false", 0},
        {"'ab' LIKE '%abc'", "false", 0},
        {"'abc' LIKE 'a%b%c'", "true", 0},
        {"'azzzbzzzc' LIKE 'a%b%c'", "true", 0},
        {"'abcbcd' LIKE '%bcd'", "true", 0},
        {"'aXbXc' LIKE 'a%X%c'", "true", 0},
        {"'abcabd' LIKE '%ab_'", "true", 0},
        {"'abcabd' LIKE 'a%ab_'", "true", 0},
        {"'abc' LIKE '___'", "true", 0},
        {"'abc' LIKE '__'", "false", 0},
        {"'abc' LIKE '_%_'", "true", 0},
        {"'a' LIKE '_%_'", "false", 0},
        {"'ü' LIKE '_'", "true", 0}, /* a character, not a byte */
        {"'aüb' LIKE 'a_b'", "true", 0},
        {"'üüü' LIKE '%_ü'", "true", 0},
        {"city LIKE 'Z_rich'", "true", 0},
        {"'a_c' LIKE 'a\\_c'", "true", 0},
        {"'abc' LIKE 'a\\_c'", "false", 0},
        {"'a%' LIKE 'a\\%'", "true", 0},
        {"'abc' LIKE 'a\\%'", "false", 0},
        {"'a%bc' LIKE 'a\\%%'", "true", 0},
        {"'ab\\c' LIKE 'ab\\c'", "true", 0},
        {"'.*' LIKE '.*'", "true", 0},
        {"'ab' LIKE '.*'", "false", 0},
        {"\"it's\" LIKE 'it\\'s'", "true", 0},
        {"234 LIKE '23_'", "true", 0},
        {"TRUE LIKE 'tr%'", "true", 0},
        {"ttl LIKE '1%'", "true", 0},
    };
    HOLD(cases);
}

static void in(void **state)
{
    static const struct example cases[] = {
        {"1 IN (1)", "true", 0},
        {"1 IN (3, 2, 1)", "true", 0},
        {"1 NOT IN (3, 2, 1)", "false", 0},
        {"1 IN ('1', '2')", "true", 0}, /* the left side says the type */
        {"'1' IN (1, 2)", "true", 0},
        {"'true' IN (TRUE)", "true", 0},
        {"'true' IN ('TRUE', 'false')", "false", 0},
        {"TRUE IN ('true', 'false')", "true", 0},
        {"1 IN (1, 'x')", "true", 0},
        {"1 IN ('x', 1)", "false", CESQL_CAST},
        {"1 NOT IN ('x')", "false", CESQL_CAST},
        {"source IN (id, 'https://shop.example/orders')", "true", 0},
        {"type IN (type)", "true", 0},
        {"1 IN (0 + 1)", "true", 0},
        {"1 IN (1 / 0)", "false", CESQL_MATH},
        {"1 IN ((1))", "true", 0},
    };
    HOLD(cases);
}

static void functions_on_text(void **state)
{
    static const struct example cases[] = {
        {"LENGTH('')", "0", 0},
        {"length('abc')", "3", 0},
        {"LENGTH(TRUE)", "4", 0},
        {"LENGTH(-12)", "3", 0},
        {"LENGTH(city)", "6", 0},
        {"LENGTH('日本語')", "3", 0},
        {"CONCAT()", "\"\"", 0},
        {"CONCAT('a')", "\"a\"", 0},
        {"CONCAT('a', 1, TRUE)", "\"a1true\"", 0},
        {"CONCAT_WS(',')", "\"\"", 0},
        {"CONCAT_WS(',', 'a')", "\"a\"", 0},
        {"CONCAT_WS(', ', 'a', '', 'c')", "\"a, , c\"", 0},
        {"CONCAT_WS('', 'a', 'b')", "\"ab\"", 0},
        {"concat_ws('-', id, type)", "\"7-com.example.order.made\"", 0},
        {"LOWER('AbC1')", "\"abc1\"", 0},
        {"LOWER('ÄÖÜ ΣΑ ДА')", "\"äöü σα да\"", 0},
        {"UPPER('AbC1')", "\"ABC1\"", 0},
        {"UPPER('äöüß ÿ')", "\"ÄÖÜß Ÿ\"", 0}, /* letter by letter */
        {"UPPER('ɐ')", "\"Ɐ\"", 0},           /* which takes more bytes */
        {"UPPER(city)", "\"ZÜRICH\"", 0},
        {"TRIM('  a b ')", "\"a b\"", 0},
        {"TRIM(' \t\n\va\f\r ')", "\"a\"", 0},
        {"TRIM('\u00a0\u2003\u3000a\u2028\xc2\x85\u1680')", "\"a\"", 0},
        {"TRIM('\x01 a \x1f')", "\"\\u0001 a \\u001f\"", 0}, /* controls are no white space */
        {"TRIM('\u200ba\u200b')", "\"\u200ba\u200b\"", 0},
        {"TRIM('   ')", "\"\"", 0},
        {"TRIM('')", "\"\"", 0},
        {"LEFT('abc', 2)", "\"ab\"", 0},
        {"LEFT('abc', 0)", "\"\"", 0},
        {"LEFT('abc', 3)", "\"abc\"", 0},
        {"LEFT('abc', 2147483647)", "\"abc\"", 0},
        {"LEFT('abc', -2)", "\"abc\"", CESQL_FUNCTION_EVALUATION},
        {"LEFT(city, 2)", "\"Zü\"", 0},
        {"LEFT(12345, '2')", "\"12\"", 0},
        {"LEFT('abc', 'x')", "\"\"", CESQL_CAST},
        {"RIGHT('abc', 2)", "\"bc\"", 0},
        {"RIGHT('abc', 0)", "\"\"", 0},
        {"RIGHT('abc', 10)", "\"abc\"", 0},
        {"RIGHT('abc', -2)", "\"abc\"", CESQL_FUNCTION_EVALUATION},
        {"RIGHT('aüb', 2)", "\"üb\"", 0},
        {"SUBSTRING('abcdef', 1)", "\"abcdef\"", 0},
        {"SUBSTRING('abcdef', 3)", "\"cdef\"", 0},
        {"SUBSTRING('abcdef', 6)", "\"f\"", 0},
        {"SUBSTRING('abcdef', -3)", "\"def\"", 0},
        {"SUBSTRING('abcdef', -6)", "\"abcdef\"", 0},
        {"SUBSTRING('abcdef', 0)", "\"\"", 0},
        {"SUBSTRING('abcdef', 7)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('abcdef', -7)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('abcdef', -2147483648)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('', 0)", "\"\"", 0},
        {"SUBSTRING('', 1)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('abcdef', 2, 3)", "\"bcd\"", 0},
        {"SUBSTRING('abcdef', 2, 0)", "\"\"", 0},
        {"SUBSTRING('abcdef', 2, 99)", "\"bcdef\"", 0},
        {"SUBSTRING('abcdef', -3, 2)", "\"de\"", 0},
        {"SUBSTRING('abcdef', 0, 2)", "\"\"", 0},
        {"SUBSTRING('abcdef', 2, -1)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('abcdef', 0, -1)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('abcdef', 10, 10)", "\"\"", CESQL_FUNCTION_EVALUATION},
        {"SUBSTRING('Zürich', 2, 1)", "\"ü\"", 0},
        {"SUBSTRING('Zürich', -5, 1)", "\"ü\"", 0},
        {"SUBSTRING(UPPER(city), 2, 2)", "\"ÜR\"", 0},
        {"LENGTH(LEFT('abc', -2))", "0", CESQL_FUNCTION_EVALUATION},
    };
    HOLD(cases);
}

static void other_functions(void **state)
{
    static const struct example cases[] = {
        {"ABS(10)", "10", 0},
        {"ABS(-10)", "10", 0},
        {"ABS('-10')", "10", 0},
        {"ABS(-2147483648)", "2147483647", CESQL_MATH},
        {"ABS('x')", "0", CESQL_CAST},
        {"INT('-1')", "-1", 0},
        {"INT(TRUE)", "1", 0},
        {"INT(5)", "5", 0},
        {"INT('ABC')", "0", CESQL_CAST},
        {"BOOL('tRuE')", "true", 0},
        {"BOOL('false')", "false", 0},
        {"BOOL(0)", "false", 0},
        {"BOOL(-50)", "true", 0},
        {"BOOL('1')", "false", CESQL_CAST},
        {"BOOL('')", "false", CESQL_CAST},
        {"STRING(TRUE)", "\"true\"", 0},
        {"STRING(-1)", "\"-1\"", 0},
        {"STRING(-2147483648)", "\"-2147483648\"", 0},
        {"STRING('a')", "\"a\"", 0},
        {"IS_INT('-1')", "true", 0},
        {"IS_INT('abc')", "false", 0},
        {"IS_INT(huge)", "false", 0},
        {"is_bool('FALSE')", "true", 0},
        {"IS_BOOL('abc')", "false", 0},
        {"IS_BOOL(missing)", "false", CESQL_MISSING_ATTRIBUTE},
        {"IS_STRING('a')", "false", CESQL_MISSING_FUNCTION},
        {"NOWHERE()", "false", CESQL_MISSING_FUNCTION},
        {"NOWHERE(1 / 0)", "false", CESQL_MISSING_FUNCTION},
        {"CONCAT_WS()", "false", CESQL_MISSING_FUNCTION},
        {"ABS()", "false", CESQL_MISSING_FUNCTION},
        {"ABS(1, 2)", "false", CESQL_MISSING_FUNCTION},
        {"SUBSTRING('a')", "false", CESQL_MISSING_FUNCTION},
        {"1 + NOWHERE()", "0", CESQL_MISSING_FUNCTION},
        {"int(hop) < int(ttl) and int(hop) < 1000", "true", 0},
    };
    HOLD(cases);
}

/* With the column of the place. */
static void refuses_what_is_no_expression(void **state)
{
    static const struct {
        const char *expression;
        size_t column;
    } cases[] = {
        {"", 1},
        {"  ", 3},
        {"ABC(", 5},
        {"(1", 3},
        {"1)", 2},
        {"()", 2},
        {"1 +", 4},
        {"1 2", 3},
        {"+ 5", 3},
        {"+a", 2},
        {"x LIKE 123", 8},
        {"x LIKE y", 8},
        {"x LIKE", 7},
        {"x LIKE LOWER('a')", 8},
        {"x NOT 'a'", 7},
        {"x IN ()", 7},
        {"x IN 1", 6},
        {"x IN (1,)", 9},
        {"EXISTS", 7},
        {"EXISTS 'a'", 8},
        {"EXISTS (a)", 8},
        {"EXISTS 12", 8},
        {"LENGTH('a' 'b')", 12},
        {"'a", 1},
        {"\"a'", 1},
        {"'it''s'", 5},
        {"'a\\'", 1},
        {"a & b", 3},
        {"a == b", 4},
        {"a.b", 2},
        {"a_b", 1},
        {"a1(2)", 1},
        {"_a()", 1},
        {"1.5", 2},
        {"2147483648", 1},
        {"-2147483649", 1},
        {"99999999999999999999", 1},
        {"AND", 1},
        {"a AND", 6},
        {"NOT", 4},
        {"a ! b", 3},
        {"'ü' x", 5}, /* columns are characters */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cesql *x = NULL;
        struct cesql_place place;
        struct error err = ERROR_INIT;
        struct slice text = slice_text(cases[i].expression);
        if (cesql_parse(text, &x, &place, &err) != -EINVAL)
            fail_msg("%s was taken", cases[i].expression);
        assert_null(x);
        assert_true(err.message[0] != '\0');
        if (cesql_column(text, place) != cases[i].column)
            fail_msg("%s: column %zu, not %zu (%s)", cases[i].expression, cesql_column(text, place),
                     cases[i].column, err.message);
    }
    assert_int_equal(cesql_parse(SLICE("'\xff'"), &(struct cesql *){NULL}, NULL, NULL), -EINVAL);
    assert_int_equal(cesql_parse(SLICE("1 \0 2"), &(struct cesql *){NULL}, NULL, NULL), -EINVAL);
    assert_int_equal(cesql_parse((struct slice){0}, &(struct cesql *){NULL}, NULL, NULL), -EINVAL);
}

static struct buf repeated(const char *start, const char *middle, unsigned n, const char *end)
{
    struct buf b = BUF_INIT;
    buf_add_text(&b, start);
    for (unsigned i = 0; i < n; i++)
        buf_add_text(&b, middle);
    buf_add_text(&b, end);
    return b;
}

static void bounded(const char *start, const char *middle, unsigned most, const char *end,
                    const char *value)
{
    struct event e = an_event();
    struct buf good = repeated(start, middle, most, end);
    struct buf bad = repeated(start, middle, most + 1, end);
    struct cesql *x = NULL;
    struct cesql_result result;
    struct error err = ERROR_INIT;
    autobuf text = BUF_INIT;
    if (cesql_parse(buf_slice(&good), &x, NULL, &err) != 0)
        fail_msg("%s: %s", middle, err.message);
    cesql_evaluate(x, &e, &scratch, &result);
    cesql_value_write(&result.value, &text);
    assert_string_equal(text.ptr, value);
    cesql_free(x);
    if (cesql_parse(buf_slice(&bad), &x, NULL, NULL) != -EINVAL)
        fail_msg("%u times %s was taken", most + 1, middle);
    buf_done(&good);
    buf_done(&bad);
}

static void has_limits(void **state)
{
    bounded("", "(", 0, "TRUE", "true");
    bounded("'", "x", CESQL_LENGTH_MAX - 7, "' = ''", "false");
    bounded("1 IN (0", ", 0", CESQL_LIST_MAX - 1, ")", "false");
    bounded("LENGTH(CONCAT('a'", ", id", CESQL_ARGUMENTS_MAX - 1, "))", "64");
    bounded("hop ", "+ hop ", CESQL_DEPTH_MAX - 1, "", "500");
    bounded("", "NOT ", CESQL_DEPTH_MAX - 1, "urgent", "false");
    bounded("hop = 6", " OR 1=id", (CESQL_NODES_MAX - 4) / 3, "", "false"); /* flat, not deep */
}

static void deep_nesting_ends(void **state)
{
    struct cesql *x = NULL;
    struct error err = ERROR_INIT;
    static const char *const openings[] = {"(",     "NOT ",   "-",         "ABS(",
                                           "1 + (", "1 IN (", "TRUE AND ("};
    for (size_t i = 0; i < COUNT_OF(openings); i++) {
        struct buf b = repeated("", openings[i], 1500, "1");
        assert_int_equal(cesql_parse(buf_slice(&b), &x, NULL, &err), -EINVAL);
        assert_non_null(strstr(err.message, "deeper"));
        buf_done(&b);
    }
}

/* What one evaluation may make is bounded; the next one begins anew. */
static void texts_are_bounded(void **state)
{
    struct event e = an_event();
    autofree char *big = malloc(40000);
    memset(big, 'a', 40000);
    event_set(&e, "big", slice_of(big, 40000));
    struct cesql *x = NULL;
    struct cesql_result result;
    autobuf message = BUF_INIT;
    assert_int_equal(cesql_parse(SLICE("LENGTH(CONCAT(big, big))"), &x, NULL, NULL), 0);
    cesql_evaluate(x, &e, &scratch, &result);
    assert_int_equal(result.error, CESQL_GENERIC);
    assert_int_equal(result.value.type, CESQL_INTEGER);
    assert_int_equal(result.value.integer, 0);
    cesql_explain(x, &result, &message, NULL);
    assert_non_null(strstr(message.ptr, "65536"));
    cesql_free(x);
    assert_int_equal(cesql_parse(SLICE("LENGTH(UPPER(big))"), &x, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        cesql_evaluate(x, &e, &scratch, &result);
        assert_int_equal(result.error, CESQL_NO_ERROR);
        assert_int_equal(result.value.integer, 40000);
    }
    cesql_free(x);
}

static void explains(void **state)
{
    static const struct {
        const char *expression, *message;
        size_t at, len;
    } cases[] = {
        {"1 + (4 / 0)", "division by zero", 4, 7},
        {"'a' = 1", "\"a\" cannot be cast to Integer", 0, 3},
        {"NOT (ttl)", "\"10\" cannot be cast to Boolean", 4, 5},
        {"id = 'x' OR nothere", "the event has no attribute nothere", 12, 7},
        {"Nope( 1 )", "there is no function Nope", 0, 9},
        {"left('a')", "left does not take 1 argument", 0, 9},
        {"LEFT(id, -1) = ''", "LEFT wants no negative length", 0, 12},
        {"SUBSTRING(id, 9)", "SUBSTRING begins beyond the ends of the text", 0, 16},
        {"2147483647 + hop", "the result is no Integer of 32 bits", 0, 16},
    };
    struct event e = an_event();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct cesql *x = NULL;
        struct cesql_result result;
        struct cesql_place place;
        autobuf message = BUF_INIT;
        assert_int_equal(cesql_parse(slice_text(cases[i].expression), &x, NULL, NULL), 0);
        assert_true(slice_is(cesql_text(x), cases[i].expression));
        cesql_evaluate(x, &e, &scratch, &result);
        cesql_explain(x, &result, &message, &place);
        assert_string_equal(message.ptr, cases[i].message);
        assert_int_equal(place.at, cases[i].at);
        assert_int_equal(place.len, cases[i].len);
        cesql_free(x);
    }
}

static void has_parts(void **state)
{
    struct event e = an_event();
    struct cesql *x = NULL;
    struct cesql_part whole, part, none;
    struct cesql_result result;
    assert_int_equal(cesql_parse(SLICE("hop = 6 AND (NOT missing OR 1 / 0 = 1)"), &x, NULL, NULL),
                     0);
    cesql_whole(x, &whole);
    assert_string_equal(whole.operator_name, "AND");
    assert_true(cesql_operand(x, &whole, 0, &part));
    assert_null(part.operator_name);
    assert_true(slice_is(part.text, "hop = 6"));
    assert_false(cesql_operand(x, &part, 0, &none));
    cesql_evaluate_part(x, &part, &e, &scratch, &result);
    assert_int_equal(result.error, CESQL_NO_ERROR);
    assert_false(result.value.boolean);
    assert_true(cesql_operand(x, &whole, 1, &whole));
    assert_string_equal(whole.operator_name, "OR");
    assert_true(slice_is(whole.text, "(NOT missing OR 1 / 0 = 1)"));
    assert_true(cesql_operand(x, &whole, 0, &part));
    assert_string_equal(part.operator_name, "NOT");
    assert_true(cesql_operand(x, &whole, 1, &part));
    cesql_evaluate_part(x, &part, &e, &scratch, &result); /* though the whole never gets there */
    assert_int_equal(result.error, CESQL_MATH);
    assert_false(cesql_operand(x, &whole, 2, &part));
    cesql_free(x);
}

/* Each function that the documentation lists can be called by its name. */
static void lists_its_functions(void **state)
{
    struct cesql_function_row row;
    size_t n = 0;
    for (; cesql_function_at(n, &row); n++) {
        autobuf text = BUF_INIT;
        struct cesql *x = NULL;
        struct cesql_result result;
        struct event e = an_event();
        buf_printf(&text, "%s('1')", row.name);
        assert_int_equal(cesql_parse(buf_slice(&text), &x, NULL, NULL), 0);
        cesql_evaluate(x, &e, &scratch, &result);
        bool takes_one = strchr(row.arguments, ',') == NULL || strstr(row.arguments, "…") != NULL;
        assert_int_equal(result.error == CESQL_MISSING_FUNCTION, !takes_one);
        assert_true(row.help[0] != '\0' && row.returns[0] != '\0');
        cesql_free(x);
    }
    assert_int_equal(n, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(attributes),
        cmocka_unit_test(missing_attributes),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(logic),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(precedence),
        cmocka_unit_test(like),
        cmocka_unit_test(in),
        cmocka_unit_test(functions_on_text),
        cmocka_unit_test(other_functions),
        cmocka_unit_test(refuses_what_is_no_expression),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(deep_nesting_ends),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(explains),
        cmocka_unit_test(has_parts),
        cmocka_unit_test(lists_its_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

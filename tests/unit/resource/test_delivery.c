/* SPDX-License-Identifier: Apache-2.0 */
/* What admission takes and refuses of destinations and delivery specifications, of triggers and of
 * brokers. */
#include "base/buf.h"
#include "base/memory.h"
#include "resource/resource.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

/* Checks an object of the kind with that member in spec; ' stands for ". */
static int check(const struct resource_kind *kind, const char *member, struct error *err)
{
    autobuf json = BUF_INIT;
    buf_printf(&json,
               "{'apiVersion':'eventing.knative.dev/v1','kind':'%s','metadata':{'name':'n'},'spec':"
               "{%s}}",
               kind->kind, member);
    for (size_t i = 0; i < json.len; i++)
        if (json.ptr[i] == '\'')
            json.ptr[i] = '"';
    json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
    if (object == NULL)
        fail_msg("no JSON: %s", json.ptr);
    int r = resource_check(kind, object, "default", err);
    json_decref(object);
    return r;
}

static int check_delivery(bool trigger, const char *delivery, struct error *err)
{
    autobuf member = BUF_INIT;
    buf_printf(&member, "%s'delivery':{%s}", trigger ? "'subscriber':{'uri':'http://h/'}," : "",
               delivery);
    return check(trigger ? &resource_kind_trigger : &resource_kind_broker, member.ptr, err);
}

static void deliveries_that_are_taken(void **state)
{
    static const char *const good[] = {
        "",
        "'retry':0",
        "'retry':2147483647",
        "'backoffPolicy':'linear'",
        "'backoffPolicy':'exponential','backoffDelay':'PT0.2S'",
        "'backoffDelay':'PT0S'",
        "'backoffDelay':'P7D'",
        "'timeout':'PT0.001S'",
        "'timeout':'P1DT2H3M4.5S'",
        "'retryAfterMax':'PT0S'",
        "'retryAfterMax':'PT1H'",
        "'format':'json'",
        "'format':'binary'",
        "'deadLetterSink':{'uri':'http://h:65535/a?b=c'}",
        "'deadLetterSink':{'uri':'https://[::1]:8443/','audience':'x'}",
        "'deadLetterSink':{'ref':{'apiVersion':'v1','kind':'Service','name':'s'}}",
        "'deadLetterSink':{'ref':{'apiVersion':'v1','kind':'Service','name':'s'},'uri':'/path'}",
        "'retry':null,'timeout':null,'deadLetterSink':null",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        for (int trigger = 0; trigger < 2; trigger++) {
            struct error err = ERROR_INIT;
            if (check_delivery(trigger == 1, good[i], &err) != 0)
                fail_msg("%s: %s: %s", good[i], err.field, err.message);
        }
}

static void deliveries_that_are_refused(void **state)
{
    static const struct {
        const char *delivery, *field, *part;
    } bad[] = {
        {"'retry':-1", "retry", "must be from 0 to 2147483647, is -1"},
        {"'retry':2147483648", "retry", "must be from 0 to 2147483647"},
        {"'retry':'3'", "retry", "must be a whole number"},
        {"'retry':1.5", "retry", "must be a whole number"},
        {"'backoffPolicy':'constant'", "backoffPolicy", "must be one of linear, exponential"},
        {"'backoffPolicy':'Linear'", "backoffPolicy", "did you mean linear?"},
        {"'backoffDelay':'1s'", "backoffDelay", "must be an ISO 8601 duration such as PT0.5S"},
        {"'backoffDelay':'-PT1S'", "backoffDelay", "must be an ISO 8601 duration"},
        {"'backoffDelay':''", "backoffDelay", "must be an ISO 8601 duration"},
        {"'backoffDelay':'P8D'", "backoffDelay", "must be from 0 to 604800 seconds, is P8D"},
        {"'backoffDelay':5", "backoffDelay", "must be an ISO 8601 duration"},
        {"'timeout':'PT0S'", "timeout", "must be from 0.001 to 604800 seconds, is PT0S"},
        {"'timeout':'30'", "timeout", "must be an ISO 8601 duration"},
        {"'timeout':'P1Y'", "timeout", "must be an ISO 8601 duration"},
        {"'retryAfterMax':'-PT1S'", "retryAfterMax", "must be an ISO 8601 duration"},
        {"'retryAfterMax':'P8D'", "retryAfterMax", "must be from 0 to 604800 seconds"},
        {"'format':'JSON'", "format", "did you mean json?"},
        {"'format':'avro'", "format", "must be one of json, binary"},
        {"'retr':3", "retr", "did you mean retry?"},
        {"'deadLetterSink':{}", "deadLetterSink", "needs a ref (apiVersion, kind, name) or a uri"},
        {"'deadLetterSink':{'uri':''}", "deadLetterSink", "needs a ref"},
        {"'deadLetterSink':'http://h/'", "deadLetterSink", "must be an object"},
        {"'deadLetterSink':{'uri':'http://h:99999/'}", "deadLetterSink.uri", "a port up to 65535"},
        {"'deadLetterSink':{'uri':'relative'}", "deadLetterSink.uri", "must be a URL with http://"},
        {"'deadLetterSink':{'ref':{'kind':'Service','name':'S'}}", "deadLetterSink.ref.name",
         "is no valid name"},
        {"'deadLetterSink':{'ref':{'kind':'Service'}}", "deadLetterSink.ref.name", "is required"},
        {"'deadLetterSink':{'uri':'https://h/','CACerts':'x'}", "deadLetterSink.CACerts",
         "must have certificates in PEM form"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        for (int trigger = 0; trigger < 2; trigger++) {
            struct error err = ERROR_INIT;
            autobuf field = BUF_INIT;
            buf_printf(&field, "spec.delivery.%s", bad[i].field);
            if (check_delivery(trigger == 1, bad[i].delivery, &err) == 0)
                fail_msg("taken: %s", bad[i].delivery);
            if (strcmp(err.field, field.ptr) != 0 || strstr(err.message, bad[i].part) == NULL)
                fail_msg("%s: %s: %s", bad[i].delivery, err.field, err.message);
        }
}

static void uris_that_nobody_can_call(void **state)
{
    static const struct {
        const char *subscriber, *part;
    } bad[] = {
        {"'uri':'http://h:99999/'", "http://h:99999/"},
        {"'uri':'http://h:-1/'", "http://h:-1/"},
        {"'uri':'http://h:8o/'", "http://h:8o/"},
        {"'uri':'http://[h]/'", "http://[h]/"},
        {"'uri':'http://[::1/'", "http://[::1/"},
        {"'uri':'http://:80/'", "http://:80/"},
        {"'uri':'http:///x'", "a host"},
        {"'uri':'http://'", "a host"},
        {"'uri':'ftp://h/'", "http:// or https://"},
        {"'uri':'h/x'", "http:// or https://"},
        {"'uri':'/x'", "http:// or https://"},
        {"'uri':'http://h/a b'", "percent-encode"},
        {"'uri':'http://h/\\n'", "percent-encode"},
        {"'ref':{'kind':'Service','name':'s'},'uri':'http://h/'", "must be a path"},
        {"'ref':{'kind':'Service','name':'s'},'uri':'x'", "must be a path"},
        {"'ref':{'kind':'Service','name':'s'},'uri':'/a b'", "percent-encode"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct error err = ERROR_INIT;
        autobuf member = BUF_INIT;
        buf_printf(&member, "'subscriber':{%s}", bad[i].subscriber);
        if (check(&resource_kind_trigger, member.ptr, &err) == 0)
            fail_msg("taken: %s", member.ptr);
        if (strcmp(err.field, "spec.subscriber.uri") != 0 ||
            strstr(err.message, bad[i].part) == NULL)
            fail_msg("%s: %s: %s", member.ptr, err.field, err.message);
    }
}

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
#define BODY                                                                                       \
    "MIIBbzCCARWgAwIBAgIUZc3Ga54Z2/K3EWBoeJLXH3LLe6MwCgYIKoZIzj0EAwIw\n"                           \
    "DDEKMAgGA1UEAwwBdDAgFw0yNjExMjEyMjExMjdaGA8yMTI2MTAyODIyMTEyN1ow\n"                           \
    "DDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEzw6kT3Pduj\n"                           \
    "3mrjc8EwwNGXr42pQsTVUGmvikKSYyGu/ohBOdFp33f9BfWMf8NpDsOKTY8ISkVJ\n"                           \
    "JT5HPmR+HQWjUzBRMB0GA1UdDgQWBBQPruda092Ow5s5hZ2QXG5uBjMfczAfBgNV\n"                           \
    "HSMEGDAWgBQPruda092Ow5s5hZ2QXG5uBjMfczAPBgNVHRMBAf8EBTADAQH/MAoG\n"                           \
    "CCqGSM49BAMCA0gAMEUCIQCD+yEnjjVTCR6SgjxXbYmE/nHak8AWcvfOrw25qThs\n"                           \
    "0QIgHARpMaAG+US6lUwVNyZkKkGHLeoY+eJfMJu+x7nxR8A=\n"
#define CERTIFICATE BEGIN BODY END
#define KEY         "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"

static void add_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\n')
            buf_add_text(out, "\\n");
        else
            buf_add_byte(out, *text);
}

static int check_certificates(const char *pem, struct error *err)
{
    autobuf member = BUF_INIT;
    buf_add_text(&member, "'subscriber':{'uri':'https://h/','CACerts':'");
    add_escaped(&member, pem);
    buf_add_text(&member, "'}");
    return check(&resource_kind_trigger, member.ptr, err);
}

static void certificates(void **state)
{
    static const struct {
        const char *pem, *part; /* NULL: it is taken */
    } rows[] = {
        {CERTIFICATE, NULL},
        {CERTIFICATE CERTIFICATE, NULL},
        {"", NULL},
        {"Subject: CN = test\n" CERTIFICATE "\nanother:\n" CERTIFICATE "\n", NULL},
        {"nothing", "must have certificates in PEM form"},
        {KEY, "something else than certificates: -----BEGIN PRIVATE KEY-----"},
        {CERTIFICATE KEY, "something else than certificates"},
        {BEGIN END, "certificate 1 is damaged"},
        {BEGIN "MAA=\n", "certificate 1 is damaged"},
        {BEGIN "MAE=\n" END, "certificate 1 is damaged"},
        {BEGIN "????\n" END, "certificate 1 is damaged"},
        {CERTIFICATE BEGIN "MIIB\n" END, "certificate 2 is damaged"},
        {CERTIFICATE BEGIN, "certificate 2 is damaged"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err = ERROR_INIT;
        int r = check_certificates(rows[i].pem, &err);
        if (rows[i].part == NULL ? r != 0
                                 : r == 0 || strstr(err.message, rows[i].part) == NULL ||
                                       strcmp(err.field, "spec.subscriber.CACerts") != 0)
            fail_msg("row %zu: %s: %s", i, err.field, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deliveries_that_are_taken),
        cmocka_unit_test(deliveries_that_are_refused),
        cmocka_unit_test(uris_that_nobody_can_call),
        cmocka_unit_test(certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

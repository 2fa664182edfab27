/* SPDX-License-Identifier: Apache-2.0 */
/* NATS JetStream: publishes with at most WINDOW unanswered, and a pull consumer that fetches up to
 * WINDOW messages and acknowledges each. Its answer to a publisher means that the message is in the
 * stream's file, not that the file is synced. */
#include "queue.h"

#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define FETCH_MS 2000

struct consumer {
    const struct queue_options *options;
    jsCtx *jetstream;
    natsSubscription *subscription;
};

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK)
        queue_fail(what, natsStatus_GetText(status));
}

static void *consume(void *argument)
{
    const struct consumer *c = argument;
    uint64_t done = 0;
    while (done < c->options->count) {
        natsMsgList list;
        natsStatus status =
            natsSubscription_Fetch(&list, c->subscription, (int)c->options->window, FETCH_MS, NULL);
        if (status == NATS_TIMEOUT)
            continue;
        check(status, "fetch");
        /* The last is answered, so that all before it have been taken. */
        for (int i = 0; i < list.Count; i++) {
            done++;
            check(done == c->options->count ? natsMsg_AckSync(list.Msgs[i], NULL, NULL)
                                            : natsMsg_Ack(list.Msgs[i], NULL),
                  "ack");
        }
        natsMsgList_Destroy(&list);
    }
    return NULL;
}

static void make_stream(jsCtx *jetstream)
{
    jsStreamConfig stream;
    const char *subjects[] = {"events"};
    jsStreamConfig_Init(&stream);
    stream.Name = "EVENTS";
    stream.Subjects = subjects;
    stream.SubjectsLen = 1;
    stream.Storage = js_FileStorage;
    jsErrCode code = 0;
    js_DeleteStream(jetstream, "EVENTS", NULL, &code);
    check(js_AddStream(NULL, jetstream, &stream, NULL, &code), "add stream");
}

static void run(const struct queue_options *o)
{
    char url[128];
    natsConnection *producer = NULL, *taker = NULL;
    jsCtx *publishing = NULL;
    struct consumer c = {.options = o};
    jsOptions options;
    jsSubOptions subscribe;
    pthread_t thread;
    snprintf(url, sizeof(url), "nats://%s:%d", o->host, o->port);
    check(natsConnection_ConnectTo(&producer, url), "connect");
    check(natsConnection_ConnectTo(&taker, url), "connect");
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = (int64_t)o->window;
    options.PublishAsync.StallWait = 60000;
    check(natsConnection_JetStream(&publishing, producer, &options), "jetstream");
    check(natsConnection_JetStream(&c.jetstream, taker, NULL), "jetstream");
    make_stream(publishing);
    jsSubOptions_Init(&subscribe);
    subscribe.Stream = "EVENTS";
    subscribe.Config.AckPolicy = js_AckExplicit;
    subscribe.Config.MaxAckPending = (int64_t)o->window;
    check(js_PullSubscribe(&c.subscription, c.jetstream, "events", "c", NULL, &subscribe, NULL),
          "subscribe");
    if (pthread_create(&thread, NULL, consume, &c) != 0)
        queue_fail("pthread_create", "failed");
    for (uint64_t i = 0; i < o->count; i++)
        check(js_PublishAsync(publishing, "events", o->body, (int)strlen(o->body), NULL),
              "publish");
    check(js_PublishAsyncComplete(publishing, NULL), "publish");
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    return queue_main(argc, argv, run);
}

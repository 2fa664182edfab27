/* SPDX-License-Identifier: Apache-2.0 */
/* RabbitMQ: a durable queue, persistent messages with publisher confirms, at most WINDOW of them
 * unconfirmed; a consumer that is given at most WINDOW messages and acknowledges each. */
#include "queue.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CHANNEL   1
#define FRAME_MAX 131072
#define QUEUE     amqp_cstring_bytes("events")

static void check_reply(amqp_connection_state_t c, const char *what)
{
    if (amqp_get_rpc_reply(c).reply_type != AMQP_RESPONSE_NORMAL)
        queue_fail(what, "refused");
}

static amqp_connection_state_t open_connection(const struct queue_options *o)
{
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(c);
    if (socket == NULL || amqp_socket_open(socket, o->host, o->port) != AMQP_STATUS_OK)
        queue_fail("connect", "failed");
    amqp_login(c, "/", 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
    amqp_channel_open(c, CHANNEL);
    check_reply(c, "channel");
    return c;
}

/* Waits for one confirm; how many messages it is about. */
static uint64_t wait_confirm(amqp_connection_state_t c, uint64_t confirmed)
{
    amqp_frame_t frame;
    amqp_maybe_release_buffers(c);
    if (amqp_simple_wait_frame(c, &frame) != AMQP_STATUS_OK)
        queue_fail("confirm", "connection lost");
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
        queue_fail("confirm", "is no acknowledgement");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    return ack->multiple ? ack->delivery_tag - confirmed : 1;
}

static void produce(const struct queue_options *o)
{
    amqp_connection_state_t c = open_connection(o);
    amqp_confirm_select(c, CHANNEL);
    check_reply(c, "confirm.select");
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = AMQP_DELIVERY_PERSISTENT};
    uint64_t sent = 0, confirmed = 0;
    while (confirmed < o->count) {
        while (sent < o->count && sent - confirmed < o->window) {
            if (amqp_basic_publish(c, CHANNEL, amqp_empty_bytes, QUEUE, 1, 0, &properties,
                                   amqp_cstring_bytes(o->body)) != AMQP_STATUS_OK)
                queue_fail("publish", "failed");
            sent++;
        }
        confirmed += wait_confirm(c, confirmed);
    }
    amqp_destroy_connection(c);
}

static void *consume(void *argument)
{
    const struct queue_options *o = argument;
    amqp_connection_state_t c = open_connection(o);
    amqp_basic_qos(c, CHANNEL, 0, (uint16_t)o->window, 0);
    check_reply(c, "qos");
    amqp_basic_consume(c, CHANNEL, QUEUE, amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    check_reply(c, "consume");
    for (uint64_t done = 0; done < o->count; done++) {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(c);
        if (amqp_consume_message(c, &envelope, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL)
            queue_fail("consume", "connection lost");
        amqp_basic_ack(c, CHANNEL, envelope.delivery_tag, 0);
        amqp_destroy_envelope(&envelope);
    }
    /* Answered after all that was sent before it. */
    amqp_queue_declare(c, CHANNEL, QUEUE, 1, 1, 0, 0, amqp_empty_table);
    check_reply(c, "the last acknowledgement");
    amqp_destroy_connection(c);
    return NULL;
}

static void run(const struct queue_options *o)
{
    pthread_t thread;
    amqp_connection_state_t c = open_connection(o);
    amqp_queue_declare(c, CHANNEL, QUEUE, 0, 1, 0, 0, amqp_empty_table);
    check_reply(c, "queue.declare");
    if (pthread_create(&thread, NULL, consume, (void *)o) != 0)
        queue_fail("pthread_create", "failed");
    produce(o);
    pthread_join(thread, NULL);
    amqp_destroy_connection(c);
}

int main(int argc, char **argv)
{
    return queue_main(argc, argv, run);
}

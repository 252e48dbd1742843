/* stub.c - see stub.h. */
#include "stub.h"

#include "wire/ident.h"

static void
answer(struct channel *channel, uint32_t request_id, Parley__Wire__Frame *frame)
{
    frame->request_id = request_id;
    assert_int_equal(channel_send(channel, frame, NULL), RC_OK);
}

static void
on_login(struct stub *stub, struct channel *channel, const Parley__Wire__Frame *frame)
{
    Parley__Wire__LoginOk ok = PARLEY__WIRE__LOGIN_OK__INIT;
    Parley__Wire__Frame reply = PARLEY__WIRE__FRAME__INIT;

    stub->logins++;
    stub->channel = channel;
    ok.generation = frame->login->generation;
    ok.highest_counter = frame->login->last_counter;
    ok.one_time_left = 100000;
    ok.window = 64;
    reply.body_case = PARLEY__WIRE__FRAME__BODY_LOGIN_OK;
    reply.login_ok = &ok;
    answer(channel, frame->request_id, &reply);
}

static void
on_publish(struct stub *stub, struct channel *channel, const Parley__Wire__Frame *frame)
{
    Parley__Wire__PublishResult result = PARLEY__WIRE__PUBLISH_RESULT__INIT;
    Parley__Wire__Frame reply = PARLEY__WIRE__FRAME__INIT;
    struct stub_frame *kept = &stub->frames[stub->n_frames];
    uint8_t *room;

    assert_in_range(stub->n_frames, 0, STUB_FRAMES_MAX - 1);
    stub->n_frames++;
    memcpy(kept->message_id, frame->publish->message_id.data, 16);
    buf_init(&kept->packed, WIRE_FRAME_MAX);
    room = buf_extend(&kept->packed, parley__wire__publish__get_packed_size(frame->publish));
    assert_non_null(room);
    parley__wire__publish__pack(frame->publish, room);
    if (stub->is_mute)
        return;
    result.message_id = frame->publish->message_id;
    result.reason = stub->reason;
    reply.body_case = PARLEY__WIRE__FRAME__BODY_PUBLISH_RESULT;
    reply.publish_result = &result;
    answer(channel, frame->request_id, &reply);
}

static void
on_up(void *ctx, struct channel *channel)
{
}

static void
on_frame(void *ctx, struct channel *channel, const Parley__Wire__Frame *frame)
{
    if (frame->body_case == PARLEY__WIRE__FRAME__BODY_LOGIN)
        on_login(ctx, channel, frame);
    else if (frame->body_case == PARLEY__WIRE__FRAME__BODY_PUBLISH)
        on_publish(ctx, channel, frame);
}

static void
on_end(void *ctx, struct channel *channel, enum channel_end how, Parley__Wire__CloseReason reason,
       const struct err *err)
{
    struct stub *stub = ctx;

    if (stub->channel == channel)
        stub->channel = NULL;
}

static const struct channel_ops ops = {.on_up = on_up, .on_frame = on_frame, .on_end = on_end};

static void
on_connection(uv_stream_t *listener, int status)
{
    struct stub *stub = listener->data;
    struct channel *channel;
    struct channel_opt opt = {
        .hub = stub->hub,
        .pipe = {.local_static = &stub->net->relay_opt.key,
                 .payload = buf_bytes(&stub->net->certificate),
                 .rng = rng_system()},
        .ops = &ops,
        .ctx = stub,
    };

    assert_int_equal(channel_accept(&channel, listener, &opt, NULL), RC_OK);
}

static void
open_hub(struct stub *stub)
{
    struct channel_hub_opt opt = {.loop = stub->net->loop, .log = stub->net->log};

    assert_int_equal(channel_hub_open(&stub->hub, &opt, NULL), RC_OK);
}

void
stub_start(struct stub *stub, struct net *net)
{
    struct sockaddr_in address;
    int size = sizeof address;

    *stub = (struct stub){.net = net};
    open_hub(stub);
    uv_tcp_init(loop_uv(net->loop), &stub->listener);
    stub->listener.data = stub;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&stub->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&stub->listener, 16, on_connection), 0);
    uv_tcp_getsockname(&stub->listener, (struct sockaddr *)&address, &size);
    stub->port = ntohs(address.sin_port);
}

void
stub_cut(struct stub *stub)
{
    stub->channel = NULL;
    channel_hub_free(&stub->hub);
    open_hub(stub);
}

void
stub_forge(struct stub *stub, uint64_t sender, struct bytes body)
{
    Parley__Wire__Address address = PARLEY__WIRE__ADDRESS__INIT;
    Parley__Wire__Deliver deliver = PARLEY__WIRE__DELIVER__INIT;
    Parley__Wire__Frame frame = PARLEY__WIRE__FRAME__INIT;
    uint8_t id[16];

    message_id_make(id, clock_unix_ms(stub->net->clock), rng_system());
    address.account = sender;
    address.device = 1;
    deliver.lane = lane_of_peer(sender);
    deliver.seq = ++stub->seq;
    deliver.sender = &address;
    deliver.message_id = wire_field(bytes_of(id, 16));
    deliver.class_ = PARLEY__WIRE__CLASS__RECEIPT;
    deliver.type = PARLEY__WIRE__CIPHER_TYPE__WHISPER;
    deliver.expires_at_ms = clock_unix_ms(stub->net->clock) + WIRE_EXPIRY_MAX_MS;
    deliver.accepted_at_ms = clock_unix_ms(stub->net->clock);
    deliver.body = wire_field(body);
    frame.body_case = PARLEY__WIRE__FRAME__BODY_DELIVER;
    frame.deliver = &deliver;
    assert_non_null(stub->channel);
    assert_int_equal(channel_send(stub->channel, &frame, NULL), RC_OK);
}

void
stub_stop(struct stub *stub)
{
    uv_close((uv_handle_t *)&stub->listener, NULL);
    channel_hub_free(&stub->hub);
    for (int i = 0; i < 4; i++)
        loop_poll(stub->net->loop);
    for (size_t i = 0; i < stub->n_frames; i++)
        buf_free(&stub->frames[i].packed);
}

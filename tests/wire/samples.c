/* samples.c - one legal frame of every kind, filled as a real sender fills it. */
#include "samples.h"

#define BASE(name) .base = PROTOBUF_C_MESSAGE_INIT(&parley__wire__##name##__descriptor)
#define ACCOUNT 15557654321u

static char empty[] = "", text[] = "gr\xc3\xbc\xc3\x9f Gott";
static char sms[] = "sms", en_us[] = "en_US", code[] = "123456", client[] = "parley-phone 0.1.0";
static uint8_t id16[16] = {0x01, 0x9a, 0x11, 0x22, 0x33, 0x44, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
static uint8_t hash8[8] = {0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe};
static uint8_t key33[33] = {0x05, 0x11, 0x22, [32] = 0x44};
static uint8_t sig64[64] = {0x99, [63] = 0x40};
static uint8_t ticket32[32] = {0x74};
static uint8_t blob[200] = {0x33, 0x0a, 0x21};

#define ID16                                                                                       \
    {                                                                                              \
        .len = sizeof(id16), .data = id16                                                          \
    }
#define HASH8                                                                                      \
    {                                                                                              \
        .len = sizeof(hash8), .data = hash8                                                        \
    }
#define KEY33                                                                                      \
    {                                                                                              \
        .len = sizeof(key33), .data = key33                                                        \
    }
#define SIG64                                                                                      \
    {                                                                                              \
        .len = sizeof(sig64), .data = sig64                                                        \
    }
#define TICKET32                                                                                   \
    {                                                                                              \
        .len = sizeof(ticket32), .data = ticket32                                                  \
    }
#define BLOB                                                                                       \
    {                                                                                              \
        .len = sizeof(blob), .data = blob                                                          \
    }

static Parley__Wire__Address address = {BASE(address), .account = ACCOUNT, .device = 1};

static Parley__Wire__LaneClaim claim_low = {BASE(lane_claim), .mask = 0x0000ffff, .lease_epoch = 7};
static Parley__Wire__LaneClaim claim_high = {BASE(lane_claim), .mask = 0xffff0000,
                                             .lease_epoch = 8};
static Parley__Wire__LaneClaim *claims[] = {&claim_low, &claim_high};
static Parley__Wire__Login login = {
    BASE(login),        .address = &address,        .generation = 3, .n_lanes = 2, .lanes = claims,
    .last_counter = 41, .number_certificate = BLOB, .client = client};
static Parley__Wire__LoginOk login_ok = {BASE(login_ok),        .generation = 3,
                                         .highest_counter = 41, .server_time_ms = 1767225600000,
                                         .one_time_left = 100,  .signed_prekey_id = 77,
                                         .window = 64};
static Parley__Wire__Refusal refusal = {BASE(refusal), .reason = PARLEY__WIRE__REASON__RATE_LIMITED,
                                        .text = text, .retry_after_s = 60};
static Parley__Wire__Done done = {BASE(done)};
static Parley__Wire__Ping ping = {BASE(ping)};
static Parley__Wire__Pong pong = {BASE(pong)};
static Parley__Wire__Close close_body = {
    BASE(close), .reason = PARLEY__WIRE__CLOSE_REASON__DRAINING, .text = text};

static Parley__Wire__CodeRequest code_request = {BASE(code_request), .number = ACCOUNT,
                                                 .method = sms, .language = en_us};
static Parley__Wire__CodeVerify code_verify = {BASE(code_verify), .number = ACCOUNT, .code = code};
static Parley__Wire__Ticket ticket = {BASE(ticket), .ticket = TICKET32,
                                      .expires_at_ms = 1767226200000, .pin_required = 1};
static Parley__Wire__SignedPrekey signed_prekey = {BASE(signed_prekey), .id = 77, .key = KEY33,
                                                   .signature = SIG64, .created_ms = 1767225600000};
static Parley__Wire__OneTimePrekey one_time_a = {BASE(one_time_prekey), .id = 1, .key = KEY33};
static Parley__Wire__OneTimePrekey one_time_b = {BASE(one_time_prekey), .id = 2, .key = KEY33};
static Parley__Wire__OneTimePrekey *one_times[] = {&one_time_a, &one_time_b};
static Parley__Wire__DeviceStatement statement = {BASE(device_statement), .details = BLOB,
                                                  .signature = SIG64};
static Parley__Wire__DeviceKeys keys = {BASE(device_keys),      .registration_id = 0x1234,
                                        .identity_key = KEY33,  .signed_prekey = &signed_prekey,
                                        .n_one_time = 2,        .one_time = one_times,
                                        .statement = &statement};
static Parley__Wire__Register register_body = {BASE(register),
                                               .ticket = TICKET32,
                                               .pin = code,
                                               .new_pin = empty,
                                               .keys = &keys,
                                               .channel_signature = SIG64,
                                               .number_certificate = BLOB};
static Parley__Wire__Registered registered = {BASE(registered), .address = &address,
                                              .generation = 4};
static Parley__Wire__Unregister unregister = {BASE(unregister)};

static Parley__Wire__PrekeyUpload prekey_upload = {
    BASE(prekey_upload), .signed_prekey = &signed_prekey, .n_one_time = 2, .one_time = one_times};
static Parley__Wire__PrekeyStatus prekey_status = {BASE(prekey_status), .one_time_left = 19,
                                                   .signed_prekey_id = 77};
static uint32_t devices[] = {1, 2};
static Parley__Wire__BundleFetch bundle_fetch = {BASE(bundle_fetch), .account = ACCOUNT,
                                                 .n_devices = 2, .devices = devices};
static Parley__Wire__Bundle bundle = {BASE(bundle),
                                      .device = 1,
                                      .registration_id = 0x1234,
                                      .identity_key = KEY33,
                                      .signed_prekey = &signed_prekey,
                                      .one_time = &one_time_a,
                                      .statement = &statement};
static Parley__Wire__Bundle *bundle_list[] = {&bundle};
static Parley__Wire__Bundles bundles = {
    BASE(bundles),  .account = ACCOUNT,     .device_list_hash = HASH8,
    .n_bundles = 1, .bundles = bundle_list, .number_certificate = BLOB};

static Parley__Wire__DeviceCiphertext ciphertext = {BASE(device_ciphertext), .device = 1,
                                                    .type = PARLEY__WIRE__CIPHER_TYPE__PREKEY,
                                                    .body = BLOB, .registration_id = 0x1234};
static Parley__Wire__DeviceCiphertext *ciphertexts[] = {&ciphertext};
static Parley__Wire__Publish publish = {BASE(publish),
                                        .message_id = ID16,
                                        .recipient = ACCOUNT,
                                        .device_list_hash = HASH8,
                                        .class_ = PARLEY__WIRE__CLASS__MESSAGE,
                                        .category = PARLEY__WIRE__CATEGORY__UTILITY,
                                        .is_template = 1,
                                        .expires_at_ms = 1767312000000,
                                        .counter = 42,
                                        .n_ciphertexts = 1,
                                        .ciphertexts = ciphertexts};
static Parley__Wire__DeviceEntry entry = {BASE(device_entry), .device = 1,
                                          .registration_id = 0x1234};
static Parley__Wire__DeviceEntry *entries[] = {&entry};
static Parley__Wire__PublishResult publish_result = {
    BASE(publish_result), .message_id = ID16,        .reason = PARLEY__WIRE__REASON__STALE_DEVICES,
    .text = text,         .device_list_hash = HASH8, .n_devices = 1,
    .devices = entries};
static Parley__Wire__Deliver deliver = {BASE(deliver),
                                        .lane = 31,
                                        .seq = 1000000007,
                                        .sender = &address,
                                        .message_id = ID16,
                                        .class_ = PARLEY__WIRE__CLASS__RECEIPT,
                                        .category = PARLEY__WIRE__CATEGORY__CATEGORY_NONE,
                                        .expires_at_ms = 1767312000000,
                                        .type = PARLEY__WIRE__CIPHER_TYPE__WHISPER,
                                        .body = BLOB,
                                        .accepted_at_ms = 1767225600001};
static Parley__Wire__LaneAck lane_ack_a = {BASE(lane_ack), .lane = 0, .seq = 12};
static Parley__Wire__LaneAck lane_ack_b = {BASE(lane_ack), .lane = 31, .seq = 13};
static Parley__Wire__LaneAck *lane_acks[] = {&lane_ack_a, &lane_ack_b};
static Parley__Wire__Ack ack = {BASE(ack), .n_lanes = 2, .lanes = lane_acks};
static Parley__Wire__BlockSignal block_signal = {BASE(block_signal), .account = ACCOUNT,
                                                 .is_blocked = 1};

#define FRAME(kind, member_, value)                                                                \
    &(const Parley__Wire__Frame)                                                                   \
    {                                                                                              \
        BASE(frame), .request_id = 5, .body_case = PARLEY__WIRE__FRAME__BODY_##kind,               \
                     .member_ = &value                                                             \
    }

const Parley__Wire__Frame *const wire_samples[] = {
    FRAME(LOGIN, login, login),
    FRAME(LOGIN_OK, login_ok, login_ok),
    FRAME(REFUSAL, refusal, refusal),
    FRAME(DONE, done, done),
    FRAME(PING, ping, ping),
    FRAME(PONG, pong, pong),
    FRAME(CLOSE, close, close_body),
    FRAME(CODE_REQUEST, code_request, code_request),
    FRAME(CODE_VERIFY, code_verify, code_verify),
    FRAME(TICKET, ticket, ticket),
    FRAME(REGISTER, register_, register_body),
    FRAME(REGISTERED, registered, registered),
    FRAME(UNREGISTER, unregister, unregister),
    FRAME(PREKEY_UPLOAD, prekey_upload, prekey_upload),
    FRAME(PREKEY_STATUS, prekey_status, prekey_status),
    FRAME(BUNDLE_FETCH, bundle_fetch, bundle_fetch),
    FRAME(BUNDLES, bundles, bundles),
    FRAME(PUBLISH, publish, publish),
    FRAME(PUBLISH_RESULT, publish_result, publish_result),
    FRAME(DELIVER, deliver, deliver),
    FRAME(ACK, ack, ack),
    FRAME(BLOCK_SIGNAL, block_signal, block_signal),
};
const size_t wire_samples_count = sizeof(wire_samples) / sizeof(wire_samples[0]);

static Parley__Wire__NoticeItem item = {BASE(notice_item), .message_id = ID16, .recipient = ACCOUNT,
                                        .device = 1};
static Parley__Wire__NoticeItem *items[] = {&item};
const Parley__Wire__Notice wire_sample_notice = {
    BASE(notice), .reason = PARLEY__WIRE__REASON__EXPIRED, .n_items = 1, .items = items};

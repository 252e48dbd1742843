/* messages.c - see messages.h. */
#include "messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "load.h"

#define BODY_MAX 4096u

void
messages_init(struct messages *messages, struct platform *platform, uint64_t first,
              uint64_t recipients)
{
    char id[64];

    *messages = (struct messages){.first = first, .recipients = recipients};
    platform_env(platform, "PARLEY_TOKEN", messages->token, sizeof(messages->token));
    snprintf(messages->path, sizeof(messages->path), "/v24.0/%s/messages",
             platform_env(platform, "PARLEY_PHONE_NUMBER_ID", id, sizeof(id)));
}

void
messages_put(struct messages *messages, struct buf *out)
{
    uint64_t to = messages->first + messages->n % messages->recipients;
    char text[MESSAGE_TEXT_BYTES + 1];
    struct json_writer w;
    struct buf body;

    memset(text, 'x', MESSAGE_TEXT_BYTES);
    text[MESSAGE_TEXT_BYTES] = '\0';
    (void)snprintf(text, 24, "%020" PRIu64, messages->n++);
    text[20] = ' ';
    buf_init(&body, BODY_MAX);
    jw_init(&w, &body);
    jw_object(&w);
    jw_kv_str(&w, "messaging_product", "whatsapp");
    jw_kv_u64_str(&w, "to", to);
    jw_kv_str(&w, "type", "text");
    jw_key(&w, "text");
    jw_object(&w);
    jw_kv_str(&w, "body", text);
    jw_object_end(&w);
    jw_object_end(&w);
    load_put_post(out, messages->path, messages->token, buf_bytes(&body));
    buf_free(&body);
}

/* samples.h - payloads for the content tests, and cmocka with the headers that it wants. */
#ifndef PARLEY_TESTS_CONTENT_SAMPLES_H
#define PARLEY_TESTS_CONTENT_SAMPLES_H

#include "content/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SAMPLE_ID                                                                                  \
    {                                                                                              \
        .data = (uint8_t[MESSAGE_ID_SIZE]){1, 2, 3}, .len = MESSAGE_ID_SIZE                        \
    }

/* A payload with everything but a body. */
static inline Parley__Content__Payload
sample_payload(void)
{
    Parley__Content__Payload payload = PARLEY__CONTENT__PAYLOAD__INIT;
    static uint8_t id[MESSAGE_ID_SIZE] = {1, 2, 3};
    static char public_id[] = "wamid.x";

    payload.version = CONTENT_VERSION;
    payload.message_id = (ProtobufCBinaryData){.data = id, .len = sizeof(id)};
    payload.sender_account = 15550123400;
    payload.recipient_account = 15557654321;
    payload.public_id = public_id;
    return payload;
}

#endif

/* Fuzzer of base/json: what the reader takes, the writer prints in ASCII, and the reader takes back
 * as the same value. */
#include "base/json.h"

#include <stdlib.h>

#define MAX_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value, *again;
    struct json_writer w;
    struct buf out;

    if (json_read(&value, bytes_of(data, size), MAX_BYTES, NULL) != RC_OK)
        return 0;
    buf_init(&out, 16 * MAX_BYTES);
    jw_init(&w, &out);
    jw_value(&w, value);
    for (size_t i = 0; i < out.len; i++) {
        if (out.ptr[i] < 0x20 || out.ptr[i] > 0x7e)
            abort();
    }
    if (json_read(&again, buf_bytes(&out), 16 * MAX_BYTES, NULL) != RC_OK ||
        !json_equal(value, again))
        abort();
    json_decref(again);
    json_decref(value);
    buf_free(&out);
    return 0;
}

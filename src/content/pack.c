/* pack.c - a payload as padded bytes, ready for the session to seal. */
#include "content/check.h"

enum rc
content_pack(struct buf *out, const Parley__Content__Payload *payload, struct err *err)
{
    size_t len;
    uint8_t *at;
    enum rc rc;

    if ((rc = check_payload(payload, err)) != RC_OK)
        return rc;
    len = parley__content__payload__get_packed_size(payload);
    if (len >= CONTENT_MAX || pad_size(len) > CONTENT_MAX)
        return err_set(err, RC_LIMIT, "content.pack", "%zu bytes", len);
    if (!buf_reserve(out, pad_size(len)) || (at = buf_extend(out, len)) == NULL)
        return err_set(err, RC_NOMEM, "content.pack", "no room for %zu bytes", len);
    parley__content__payload__pack(payload, at);
    pad_append(out, len);
    return RC_OK;
}

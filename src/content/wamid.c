/* wamid.c - see wamid.h. A bounded parser for a text that clients send back to us. */
#include "content/wamid.h"

#include "base/buf.h"
#include "base/e164.h"
#include "base/hex.h"
#include "base/reader.h"

#define PREFIX "wamid."
#define KEY_HEX 32u
#define BLOB_MAX 72u

enum { TAG_STRUCT = 0x1c, TAG_TEXT = 0x18, TAG_INT = 0x15, INT_ONE = 0x02, TAG_STOP = 0x00 };
enum { BY_BUSINESS = 0x11, BY_USER = 0x12 };

char *
wamid_write(char *out, const struct wamid *id)
{
    char digits[E164_TEXT_SIZE];
    struct buf blob, text;

    buf_init(&blob, BLOB_MAX);
    buf_init(&text, WAMID_SIZE);
    e164_write(digits, id->user);
    buf_put_u8(&blob, TAG_STRUCT);
    buf_put_u8(&blob, TAG_TEXT);
    buf_put_u8(&blob, (uint8_t)strlen(digits));
    buf_put_str(&blob, digits);
    buf_put_u8(&blob, TAG_INT);
    buf_put_u8(&blob, INT_ONE);
    buf_put_u8(&blob, TAG_STOP);
    buf_put_u8(&blob, id->is_from_business ? BY_BUSINESS : BY_USER);
    buf_put_u8(&blob, TAG_TEXT);
    buf_put_u8(&blob, KEY_HEX);
    hex_put_upper(&blob, bytes_of(id->message_id, sizeof id->message_id));
    buf_put_u8(&blob, TAG_STOP);
    buf_put_str(&text, PREFIX);
    base64_put(&text, buf_bytes(&blob));
    out[0] = '\0';
    if (!buf_failed(&text) && text.len < WAMID_SIZE)
        memcpy(out, buf_cstr(&text), text.len + 1);
    buf_free(&blob);
    buf_free(&text);
    return out;
}

static enum rc
parse(struct wamid *out, struct bytes blob, struct err *err)
{
    struct reader r = reader_over(blob);
    bool is_sound = reader_u8(&r) == TAG_STRUCT && reader_u8(&r) == TAG_TEXT;
    struct bytes digits = reader_borrow(&r, reader_u8(&r));
    struct bytes key;
    uint8_t by;

    is_sound = is_sound && reader_u8(&r) == TAG_INT && reader_u8(&r) == INT_ONE &&
               reader_u8(&r) == TAG_STOP;
    by = reader_u8(&r);
    is_sound = is_sound && reader_u8(&r) == TAG_TEXT && reader_u8(&r) == KEY_HEX;
    key = reader_borrow(&r, KEY_HEX);
    is_sound = is_sound && reader_u8(&r) == TAG_STOP && reader_finished(&r);
    if (!is_sound || (by != BY_BUSINESS && by != BY_USER))
        return err_set(err, RC_MALFORMED, "wamid", "not a message id of this platform");
    out->is_from_business = by == BY_BUSINESS;
    if (e164_read(&out->user, digits, err) != RC_OK)
        return RC_MALFORMED;
    return hex_read(out->message_id, sizeof out->message_id, key, err);
}

enum rc
wamid_read(struct wamid *out, struct bytes text, struct err *err)
{
    const size_t skip = sizeof PREFIX - 1;
    struct buf blob;
    enum rc rc;

    memset(out, 0, sizeof *out);
    if (text.len <= skip || text.len >= WAMID_SIZE || memcmp(text.ptr, PREFIX, skip) != 0)
        return err_set(err, RC_MALFORMED, "wamid", "not a message id of this platform");
    buf_init(&blob, BLOB_MAX);
    rc = base64_read(&blob, bytes_of(text.ptr + skip, text.len - skip), err);
    if (rc == RC_OK)
        rc = parse(out, buf_bytes(&blob), err);
    buf_free(&blob);
    return rc;
}

/* Fuzzer of hooks/address_filter: the judgement against one written the other way round, from bits
 * instead of a table of prefixes. The first byte chooses the family, the rest is the address. */
#include "hooks/address_filter.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
v4_is_public(const uint8_t a[4])
{
    uint32_t ip = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];

    if (a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224)
        return false;
    if (a[0] == 100 && a[1] >= 64 && a[1] < 128)
        return false;
    if ((a[0] == 169 && a[1] == 254) || (a[0] == 172 && a[1] >= 16 && a[1] < 32))
        return false;
    if (a[0] == 192 && (a[1] == 168 || (a[1] == 88 && a[2] == 99)))
        return false;
    if (a[0] == 198 && (a[1] == 18 || a[1] == 19))
        return false;
    switch (ip >> 8) {
    case 0xc00000: /* 192.0.0 */
    case 0xc00002: /* 192.0.2 */
    case 0xc63364: /* 198.51.100 */
    case 0xcb0071: /* 203.0.113 */
        return false;
    default:
        return true;
    }
}

static bool
v6_is_public(const uint8_t a[16])
{
    uint32_t high = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];

    if (high < 0x20000000u || high > 0x3fffffffu)
        return false;
    if (high >= 0x20010000u && high <= 0x200101ffu)
        return false;
    if (high == 0x20010db8u || high >> 16 == 0x2002)
        return false;
    return high < 0x3fff0000u || high > 0x3fff0fffu;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    if (size >= 5 && data[0] == '4') {
        memcpy(&in.sin_addr, data + 1, 4);
        if (address_is_public((struct sockaddr *)&in) != v4_is_public(data + 1))
            abort();
    } else if (size >= 17 && data[0] == '6') {
        memcpy(&in6.sin6_addr, data + 1, 16);
        if (address_is_public((struct sockaddr *)&in6) != v6_is_public(data + 1))
            abort();
    }
    return 0;
}

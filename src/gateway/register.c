/* register.c - a number's registration with the relay, in the front doors' words. */
#include <stdlib.h>

#include "gateway/internal.h"

struct enrol {
    struct gateway *gw;
    gateway_register_fn *fn;
    void *ctx;
};

static enum gateway_refusal
refusal_of(enum rc rc, Parley__Wire__Reason reason)
{
    if (rc == RC_OK)
        return GATEWAY_REFUSED_NOT;
    switch (reason) {
    case PARLEY__WIRE__REASON__RATE_LIMITED:
        return GATEWAY_REFUSED_RATE;
    case PARLEY__WIRE__REASON__WRONG_CODE:
    case PARLEY__WIRE__REASON__CODE_EXPIRED:
        return GATEWAY_REFUSED_CODE;
    case PARLEY__WIRE__REASON__TICKET_INVALID:
        return GATEWAY_REFUSED_TICKET;
    case PARLEY__WIRE__REASON__PIN_MISMATCH:
        return GATEWAY_REFUSED_PIN;
    case PARLEY__WIRE__REASON__BAD_CERTIFICATE:
        return GATEWAY_REFUSED_CERTIFICATE;
    case PARLEY__WIRE__REASON__UNAVAILABLE:
        return GATEWAY_REFUSED_UNREACHABLE;
    default:
        return GATEWAY_REFUSED_OTHER;
    }
}

static void
on_reply(void *ctx, enum rc rc, Parley__Wire__Reason reason, const char *text)
{
    struct enrol *enrol = ctx;
    struct gateway *gw = enrol->gw;

    enrol->fn(enrol->ctx, refusal_of(rc, reason), text);
    free(enrol);
    gateway_release(gw);
}

/* The number's endpoint and a call object, or NULL after fn was told why not. */
static struct enrol *
begin(struct gateway *gw, uint64_t account, struct endpoint **ep, gateway_register_fn *fn,
      void *ctx)
{
    struct number *number = number_find(gw, account);
    struct enrol *enrol = NULL;

    *ep = number == NULL ? NULL : number->endpoint;
    if (*ep != NULL && !gw->is_closing)
        enrol = malloc(sizeof *enrol);
    if (enrol == NULL) {
        fn(ctx, GATEWAY_REFUSED_UNREACHABLE, "the number is not served here yet; try again");
        return NULL;
    }
    *enrol = (struct enrol){.gw = gw, .fn = fn, .ctx = ctx};
    gateway_hold(gw);
    return enrol;
}

void
gateway_request_code(struct gateway *gw, uint64_t account, const char *method, const char *language,
                     gateway_register_fn *fn, void *ctx)
{
    struct endpoint *ep;
    struct enrol *enrol = begin(gw, account, &ep, fn, ctx);

    if (enrol == NULL)
        return;
    /* Registered elsewhere meanwhile: the relay does not know our key any more. */
    if (endpoint_is_refused(ep) && endpoint_enrol(ep, NULL) != RC_OK)
        on_reply(enrol, RC_NOMEM, PARLEY__WIRE__REASON__UNAVAILABLE, "try again");
    else
        endpoint_request_code(ep, method, language, on_reply, enrol);
}

void
gateway_verify_code(struct gateway *gw, uint64_t account, const char *code, gateway_register_fn *fn,
                    void *ctx)
{
    struct endpoint *ep;
    struct enrol *enrol = begin(gw, account, &ep, fn, ctx);

    if (enrol != NULL)
        endpoint_verify_code(ep, code, on_reply, enrol);
}

void
gateway_register(struct gateway *gw, uint64_t account, const char *pin, gateway_register_fn *fn,
                 void *ctx)
{
    struct endpoint *ep;
    struct enrol *enrol = begin(gw, account, &ep, fn, ctx);

    if (enrol == NULL)
        return;
    if (endpoint_is_registered(ep) && endpoint_is_up(ep))
        on_reply(enrol, RC_OK, PARLEY__WIRE__REASON__REASON_UNSPECIFIED, "");
    else
        endpoint_register(ep, pin, on_reply, enrol);
}

void
gateway_deregister(struct gateway *gw, uint64_t account, gateway_register_fn *fn, void *ctx)
{
    struct endpoint *ep;
    struct enrol *enrol = begin(gw, account, &ep, fn, ctx);

    if (enrol != NULL)
        endpoint_unregister(ep, on_reply, enrol);
}

/* town.h - the whole service in one process: relay, manager, Cloud, a business's webhook server and
 * a person with a phone, on one loop; calls to it as clients make them. */
#ifndef PARLEY_TESTS_CLOUD_TOWN_H
#define PARLEY_TESTS_CLOUD_TOWN_H

#include "../gateway/net.h"
#include "base/json.h"
#include "cloud/cloud.h"
#include "http/client.h"
#include "http/server.h"
#include "manager/manager.h"

#define HOOKS_MAX 256u

struct hook { /* one POST to the business */
    char path[32];
    char signature[80], event_id[64];
    json_t *body;
    char text[4096]; /* as it came */
};

struct shop { /* a business as provisioned */
    char business[20], waba[20], number[20], app[20], secret[140], token[260], app_token[300];
    uint64_t digits;
};

struct town {
    struct net net;
    char ca[96], cert_dir[96];
    struct manager *manager;
    struct cloud *cloud;
    bool is_ready, is_closed;
    struct http_client *tool; /* as parley-cli, over mutual TLS */
    struct http_client *web;  /* as anybody */
    struct http_server *receiver;
    int receiver_status; /* what webhooks are answered; 200 */
    struct hook hooks[HOOKS_MAX];
    size_t n_hooks;
};

void town_start(struct town *t);
void town_stop(struct town *t);
void town_open_cloud(struct town *t);
void town_close_cloud(struct town *t);
void town_open_manager(struct town *t);

/* Provision, register by the code in the outbox, subscribe the receiver under this path. */
void shop_open(struct shop *shop, struct town *t, const char *name, uint64_t digits,
               const char *path);

/* A Graph call over plain HTTP on loopback; the status, and the answer in *out (json_decref; NULL
 * allowed). body NULL: none; key NULL: no Idempotency-Key. */
int town_graph(struct town *t, json_t **out, enum http_method method, const char *path,
               const char *token, const char *body);
int town_graph_keyed(struct town *t, json_t **out, const char *path, const char *token,
                     const char *body, const char *key);
/* Start one and let nobody wait: *done counts the answers, whatever they are. */
void town_fire(struct town *t, const char *path, const char *token, const char *body,
               unsigned *done);
/* As parley-cli to the manager. */
int town_manage(struct town *t, json_t **out, enum http_method method, const char *path,
                const char *body);
/* Send a text; the wamid (WAMID_SIZE). Fails the test unless it is accepted. */
void town_say(struct town *t, const struct shop *shop, uint64_t to, const char *text, char *wamid);

/* Wait until the receiver has so many, or one that fits; borrowed until the end. */
void town_wait_hooks(struct town *t, size_t n);
const struct hook *town_wait_status(struct town *t, const char *wamid, const char *status);
const struct hook *town_wait_message(struct town *t, const char *path, const char *text);
/* The status or message object inside, NULL if it is another kind. */
const json_t *hook_value(const struct hook *hook, const char *kind);

#endif

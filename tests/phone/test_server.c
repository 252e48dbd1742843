/* test_server.c - the phone's socket: verbs, listening, marks, and clients that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "phone/lines.h"
#include "phone/server.h"
#include "town.h"

struct town {
    struct rig rig;
    struct person ana, ben;
    struct phone_server *server; /* of Ben's phone */
    char path[128];
    bool was_shut_down;
};

static void
on_shutdown(void *ctx)
{
    ((struct town *)ctx)->was_shut_down = true;
}

static int
set_up(void **state)
{
    struct town *t = calloc(1, sizeof *t);
    struct phone_server_opt opt = {.log = log_none(), .on_shutdown = on_shutdown, .ctx = t};

    rig_init(&t->rig);
    rig_start(&t->rig);
    person_init(&t->ana, &t->rig, "ana", 15557654321);
    person_init(&t->ben, &t->rig, "ben", 15550123400);
    person_register(&t->ana);
    person_register(&t->ben);
    snprintf(t->path, sizeof t->path, "%s/daemon.sock", t->ben.dir);
    opt.path = t->path;
    opt.loop = t->rig.loop;
    opt.phone = t->ben.phone;
    assert_int_equal(phone_server_open(&t->server, &opt, NULL), RC_OK);
    *state = t;
    return 0;
}

static int
tear_down(void **state)
{
    struct town *t = *state;

    phone_server_free(&t->server);
    person_wipe(&t->ana);
    person_wipe(&t->ben);
    rig_wipe(&t->rig);
    free(t);
    return 0;
}

/* ---- a client that the test's loop serves ---- */

struct client {
    struct town *t;
    int fd;
    struct buf in;
    bool has_ended;
};

static void
client_open(struct client *c, struct town *t)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    *c = (struct client){.t = t, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    buf_init(&c->in, 64u * 1024 * 1024);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", t->path);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&at, sizeof at), 0);
}

static void
client_close(struct client *c)
{
    close(c->fd);
    buf_free(&c->in);
}

static void
client_say(struct client *c, const char *text)
{
    size_t len = strlen(text), at = 0;

    while (at < len) {
        ssize_t n = send(c->fd, text + at, len - at, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return; /* it hung up on us */
        at += n < 0 ? 0 : (size_t)n;
        loop_poll(c->t->rig.loop);
    }
}

static bool
has_line(void *ctx)
{
    struct client *c = ctx;
    uint8_t piece[65536];
    ssize_t n = recv(c->fd, piece, sizeof piece, 0);

    if (n > 0)
        buf_put(&c->in, bytes_of(piece, (size_t)n));
    else if (n == 0 || errno != EAGAIN)
        c->has_ended = true;
    return c->has_ended || (c->in.len > 0 && memchr(c->in.ptr, '\n', c->in.len) != NULL);
}

/* The next line, or NULL at the end; the caller's (json_decref). */
static json_t *
client_hear(struct client *c)
{
    json_t *out = NULL;
    uint8_t *end;

    assert_true(rig_wait(&c->t->rig, has_line, c));
    end = c->in.len == 0 ? NULL : memchr(c->in.ptr, '\n', c->in.len);
    if (end == NULL)
        return NULL;
    assert_int_equal(
        json_read(&out, bytes_of(c->in.ptr, (size_t)(end - c->in.ptr)), 1u << 24, NULL), RC_OK);
    buf_consume(&c->in, (size_t)(end - c->in.ptr) + 1);
    return out;
}

/* One request on a connection of its own; "ok" or the rc's name. */
static void
ask(struct town *t, const char *request, const char *want)
{
    struct client c;
    json_t *answer;
    const char *got;

    client_open(&c, t);
    client_say(&c, request);
    client_say(&c, "\n");
    answer = client_hear(&c);
    assert_non_null(answer);
    got = json_truthy(json_object_get(answer, "ok")) ? "ok" : json_str(answer, "rc");
    if (got == NULL || strcmp(got, want) != 0)
        fail_msg("%s: %s, wanted %s", request, got, want);
    json_decref(answer);
    client_close(&c);
}

static void
hear_text(struct client *c, const char *want, int64_t *ord)
{
    json_t *line = client_hear(c);

    assert_non_null(line);
    assert_non_null(json_object_get(line, "message"));
    assert_string_equal(json_str(json_object_get(line, "message"), "text"), want);
    if (ord != NULL)
        *ord = json_int(line, "ord", 0);
    json_decref(line);
}

/* ---- tests ---- */

static void
test_verbs(void **state)
{
    static const struct {
        const char *request, *want;
    } cases[] = {
        {"{\"verb\":\"ping\"}",                                                                    "ok"      },
        {"{\"verb\":\"list\"}",                                                                    "ok"      },
        {"{\"verb\":\"sing\"}",                                                                    "inval"   },
        {"{\"verb\":7}",                                                                           "inval"   },
        {"[]",                                                                                     "inval"   },
        {"not json",                                                                               "inval"   },
        {"",                                                                                       "inval"   },
        {"{\"verb\":\"send\",\"profile\":\"ben\",\"to\":\"15557654321\",\"text\":\"hi\"}",         "ok"      },
        {"{\"verb\":\"send\",\"profile\":\"ben\",\"number\":\"+1 555-765-4321\",\"text\":\"hi\"}",
         "ok"                                                                                                },
        {"{\"verb\":\"send\",\"profile\":\"zoe\",\"to\":\"15557654321\",\"text\":\"hi\"}",
         "notfound"                                                                                          },
        {"{\"verb\":\"send\",\"to\":\"15557654321\",\"text\":\"hi\"}",                             "notfound"},
        {"{\"verb\":\"send\",\"profile\":\"ben\",\"text\":\"hi\"}",                                "inval"   },
        {"{\"verb\":\"send\",\"profile\":\"ben\",\"to\":\"12\",\"text\":\"hi\"}",                  "inval"   },
        {"{\"verb\":\"send\",\"profile\":\"ben\",\"to\":\"15557654321\"}",                         "inval"   },
        {"{\"verb\":\"block\",\"profile\":\"ben\",\"number\":\"15550000001\"}",                    "ok"      },
        {"{\"verb\":\"unblock\",\"profile\":\"ben\",\"number\":\"15550000001\"}",                  "ok"      },
        {"{\"verb\":\"read\",\"profile\":\"ben\",\"number\":\"15557654321\"}",                     "ok"      },
        {"{\"verb\":\"typing\",\"profile\":\"ben\",\"to\":\"15557654321\",\"is_typing\":true}",
         "ok"                                                                                                },
        {"{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":\"15557654321\"}",                   "ok"      },
        {"{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":\"15550000009\"}",                   "notfound"},
        {"{\"verb\":\"register\",\"profile\":\"ben\",\"number\":\"15550123400\"}",                 "ok"      },
        {"{\"verb\":\"register\",\"profile\":\"ben\",\"number\":\"15550000001\"}",                 "exists"  },
        {"{\"verb\":\"register\",\"profile\":\"new\"}",                                            "inval"   },
        {"{\"verb\":\"confirm\",\"profile\":\"nobody\",\"code\":\"1\"}",                           "notfound"},
        {"{\"verb\":\"offline\",\"profile\":\"ben\"}",                                             "ok"      },
        {"{\"verb\":\"online\",\"profile\":\"ben\"}",                                              "ok"      },
        {"{\"verb\":\"inbox\",\"profile\":\"zoe\"}",                                               "notfound"},
        {"{\"verb\":\"listen\"}",                                                                  "notfound"},
    };
    struct town *t = *state;
    struct stat st;

    assert_int_equal(stat(t->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ask(t, cases[i].request, cases[i].want);
    assert_false(t->was_shut_down);
    ask(t, "{\"verb\":\"shutdown\"}", "ok");
    assert_true(t->was_shut_down);
}

static void
test_several_requests_on_one_connection(void **state)
{
    struct town *t = *state;
    struct client c;

    client_open(&c, t);
    /* all at once: answered one by one, in order */
    client_say(&c, "{\"verb\":\"ping\"}\n{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":"
                   "\"15557654321\"}\n{\"verb\":\"sing\"}\n{\"verb\":\"list\"}");
    client_say(&c, "\n");
    static const char *const members[] = {"program", "safety_number", "error", "profiles"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        json_t *answer = client_hear(&c);

        assert_non_null(json_object_get(answer, members[i]));
        json_decref(answer);
    }
    client_close(&c);
}

static void
test_listeners_get_everything_once(void **state)
{
    struct town *t = *state;
    struct client first, second, third;
    int64_t ord;
    char line[64];
    json_t *answer;

    person_send(&t->ana, &t->ben, "before");
    person_wait_count(&t->ben, "before", 1);
    client_open(&first, t);
    client_open(&second, t);
    client_say(&first, "{\"verb\":\"listen\",\"profile\":\"ben\",\"read\":true}\n");
    client_say(&second, "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    hear_text(&first, "before", &ord);
    hear_text(&second, "before", NULL);
    person_send(&t->ana, &t->ben, "while");
    hear_text(&first, "while", &ord);
    hear_text(&second, "while", NULL);
    assert_int_equal(person_count(&t->ben, "\"status\":\"read\""), 0); /* not printed yet */
    snprintf(line, sizeof line, "{\"printed\":%lld}\n{\"end\":true}\n", (long long)ord);
    client_say(&first, line);
    answer = client_hear(&first);
    assert_true(json_truthy(json_object_get(answer, "ok")));
    json_decref(answer);
    assert_int_equal(person_sql(&t->ben, "SELECT listened FROM phone_profile"), ord);
    person_wait_count(&t->ana, "\"status\":\"read\"", 2);
    client_close(&second); /* without a word */
    person_send(&t->ana, &t->ben, "after");
    client_open(&third, t);
    client_say(&third, "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    hear_text(&third, "after", NULL); /* and nothing that was printed */
    /* one who says that it printed more than it got moves the mark no further */
    client_say(&third, "{\"printed\":999999}\n{\"end\":true}\n");
    answer = client_hear(&third);
    assert_true(json_truthy(json_object_get(answer, "ok")));
    json_decref(answer);
    assert_int_equal(person_sql(&t->ben, "SELECT listened FROM phone_profile"), ord + 1);
    assert_int_equal(person_count(&t->ben, "\"status\":\"read\""), 2); /* third did not ask to */
    client_close(&first);
    client_close(&third);
}

static void
test_the_mark_outlives_the_program(void **state)
{
    struct town *t = *state;
    struct phone_server_opt opt = {.log = log_none(), .path = t->path};
    struct client c;
    int64_t ord;
    char line[64];

    person_send(&t->ana, &t->ben, "one");
    client_open(&c, t);
    client_say(&c, "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    hear_text(&c, "one", &ord);
    snprintf(line, sizeof line, "{\"printed\":%lld}\n{\"end\":true}\n", (long long)ord);
    client_say(&c, line);
    json_decref(client_hear(&c));
    client_close(&c);
    phone_server_free(&t->server);
    person_stop(&t->ben);
    person_start(&t->ben);
    opt.loop = t->rig.loop;
    opt.phone = t->ben.phone;
    assert_int_equal(phone_server_open(&t->server, &opt, NULL), RC_OK);
    person_send(&t->ana, &t->ben, "two");
    client_open(&c, t);
    client_say(&c, "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    hear_text(&c, "two", NULL);
    client_close(&c);
}

static void
test_long_inbox_in_order_to_a_slow_reader(void **state)
{
    struct town *t = *state;
    char *body = malloc(4001);
    unsigned n = 0;
    struct client c;
    struct answer a;
    json_t *line;

    memset(body, 'x', 4000);
    body[4000] = '\0';
    person_offline(&t->ben, true);
    for (int i = 0; i < 250; i++) /* two and a half pages by number, more by size */
        assert_int_equal(person_send_reply(&t->ben, &t->ana, body, NULL, &a), RC_OK);
    client_open(&c, t);
    client_say(&c, "{\"verb\":\"inbox\",\"profile\":\"ben\"}\n");
    rig_pass_ms(&t->rig, 200); /* it reads nothing for a while */
    for (int64_t last = 0; (line = client_hear(&c)) != NULL; n++) {
        if (json_object_get(line, "message") == NULL)
            break;
        assert_true(json_int(line, "ord", 0) > last);
        last = json_int(line, "ord", 0);
        json_decref(line);
    }
    assert_true(json_truthy(json_object_get(line, "ok")));
    json_decref(line);
    assert_int_equal(n, 250);
    client_close(&c);
    free(body);
}

static void
test_i39_clients_that_misbehave(void **state)
{
    struct town *t = *state;
    char *huge = malloc(LINES_IN_MAX + 8192);
    struct client c, many[40];

    client_open(&c, t); /* half a line, then gone */
    client_say(&c, "{\"verb\":\"pi");
    client_close(&c);
    client_open(&c, t); /* gone before its answer */
    client_say(&c, "{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":\"15557654321\"}\n");
    client_close(&c);
    client_open(&c, t); /* says all it has to say, then listens for the answer */
    client_say(&c, "{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":\"15557654321\"}\n");
    shutdown(c.fd, SHUT_WR);
    json_t *answer = client_hear(&c);
    assert_true(json_truthy(json_object_get(answer, "ok")));
    json_decref(answer);
    assert_null(client_hear(&c));
    client_close(&c);
    memset(huge, 'x', LINES_IN_MAX + 8191);
    huge[LINES_IN_MAX + 8191] = '\0';
    client_open(&c, t); /* a line without an end */
    client_say(&c, huge);
    assert_null(client_hear(&c));
    client_close(&c);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) { /* listeners who vanish */
        client_open(&many[i], t);
        client_say(&many[i], "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        client_close(&many[i]);
    person_send(&t->ana, &t->ben, "still here");
    person_wait_count(&t->ben, "still here", 1);
    ask(t, "{\"verb\":\"ping\"}", "ok");
    free(huge);
}

static void
test_ends_with_calls_under_way(void **state)
{
    struct town *t = *state;
    struct client c, d;

    client_open(&c, t);
    client_say(&c, "{\"verb\":\"listen\",\"profile\":\"ben\"}\n");
    client_open(&d, t);
    client_say(&d, "{\"verb\":\"verify\",\"profile\":\"ben\",\"number\":\"15557654321\"}\n");
    loop_poll(t->rig.loop);
    phone_server_free(&t->server);
    person_stop(&t->ben);
    client_close(&c);
    client_close(&d);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_verbs),
        CASE(test_several_requests_on_one_connection),
        CASE(test_listeners_get_everything_once),
        CASE(test_the_mark_outlives_the_program),
        CASE(test_long_inbox_in_order_to_a_slow_reader),
        CASE(test_i39_clients_that_misbehave),
        CASE(test_ends_with_calls_under_way),
    };

    return cmocka_run_group_tests_name("phone/server", tests, NULL, NULL);
}

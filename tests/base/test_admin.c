/* Tests of base/admin: question and answer over a real socket, and everything that is refused. The
 * server runs on a thread of its own, as it does in a program. */
#include "base/admin.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define LIMIT_MS 10000

struct fixture {
    struct loop *loop;
    struct admin *admin;
    pthread_t thread;
    struct loop_post stop;
    struct admin_call *kept; /* touched on the loop only */
    char dir[32], path[64];
};

static void
answer_words(struct admin_call *call, void *ctx)
{
    for (unsigned i = 0; admin_arg(call, i) != NULL; i++)
        admin_putf(call, "%u %s", i, admin_arg(call, i));
    admin_done(call, RC_OK, NULL);
}

static void
answer_dots(struct admin_call *call, void *ctx)
{
    admin_putf(call, ".");
    admin_putf(call, "..a\n.b\nerror x");
    admin_done(call, RC_OK, NULL);
}

static void
answer_failure(struct admin_call *call, void *ctx)
{
    admin_putf(call, "half an answer");
    admin_done(call, RC_NOTFOUND, admin_arg(call, 0));
}

static void
answer_much(struct admin_call *call, void *ctx)
{
    for (int i = 0; i < 20000; i++)
        admin_putf(call, "%099d", i);
    admin_done(call, RC_OK, NULL);
}

static void
answer_too_much(struct admin_call *call, void *ctx)
{
    for (int i = 0; i < 50000; i++)
        admin_putf(call, "%099d", i);
    admin_done(call, RC_OK, NULL);
}

static void
keep(struct admin_call *call, void *ctx)
{
    ((struct fixture *)ctx)->kept = call;
}

static void
answer_kept(struct admin_call *call, void *ctx)
{
    struct fixture *f = ctx;

    if (f->kept != NULL) {
        admin_putf(f->kept, "later");
        admin_done(f->kept, RC_OK, NULL);
    }
    f->kept = NULL;
    admin_done(call, RC_OK, NULL);
}

static const struct admin_row rows[] = {
    {"show",      "words",             answer_words   },
    {"show dots", "dots",              answer_dots    },
    {"fail",      "an error",          answer_failure },
    {"much",      "2 MB",              answer_much    },
    {"too much",  "more than allowed", answer_too_much},
    {"keep",      "no answer yet",     keep           },
    {"now",       "answer what waits", answer_kept    },
};

static void *
serve(void *arg)
{
    loop_run(((struct fixture *)arg)->loop);
    return NULL;
}

static void
on_stop(struct loop_post *post)
{
    struct fixture *f = (struct fixture *)((char *)post - offsetof(struct fixture, stop));

    admin_free(&f->admin);
    if (f->kept != NULL) /* finished after its client and its server went away */
        admin_done(f->kept, RC_OK, NULL);
    loop_stop(f->loop);
}

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->dir, "/tmp/parley-admin-XXXXXX");
    if (mkdtemp(f->dir) == NULL || loop_new(&f->loop, NULL) != RC_OK)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
    if (admin_open(&f->admin, f->loop, f->path, rows, ARRAY_LEN(rows), f, NULL) != RC_OK)
        return -1;
    *state = f;
    return pthread_create(&f->thread, NULL, serve, f);
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    int left;

    f->stop.fn = on_stop;
    loop_post(f->loop, &f->stop);
    pthread_join(f->thread, NULL);
    loop_free(&f->loop);
    left = access(f->path, F_OK) == 0; /* the socket's name goes with the server */
    rmdir(f->dir);
    free(f);
    return left;
}

static enum rc
ask(const struct fixture *f, struct buf *out, const char *line, struct err *err)
{
    buf_init(out, 8 << 20);
    return admin_ask(out, f->path, line, LIMIT_MS, err);
}

static const struct {
    const char *line;
    enum rc rc;
    const char *want; /* the answer, or the text of the error */
} cases[] = {
    {"show",                 RC_OK,     ""                                   },
    {"show a bb",            RC_OK,     "0 a\n1 bb\n"                        },
    {" show\t x ",           RC_OK,     "0 x\n"                              },
    {"show dots",            RC_OK,     ".\n..a\n.b\nerror x\n"              },
    {"show dot",             RC_OK,     "0 dot\n"                            },
    {"show 1 2 3 4 5 6 7",   RC_OK,     "0 1\n1 2\n2 3\n3 4\n4 5\n5 6\n6 7\n"},
    {"show 1 2 3 4 5 6 7 8", RC_DENIED, "not a line of at most 8 words"      },
    {"show \x01",            RC_DENIED, "not a line of at most 8 words"      },
    {"fail because",         RC_DENIED, "because"                            },
    {"fail",                 RC_DENIED, "notfound"                           },
    {"",                     RC_DENIED, "no such command; try help"          },
    {"too",                  RC_DENIED, "no such command; try help"          },
    {"showy",                RC_DENIED, "no such command; try help"          },
    {"too much",             RC_DENIED, "the answer is too long"             },
};

static void
test_round_trips(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        struct buf out;
        enum rc rc = ask(*state, &out, cases[i].line, &err);

        if (rc != cases[i].rc)
            fail_msg("\"%s\": %s %s", cases[i].line, rc_name(rc), err.text);
        assert_string_equal(rc == RC_OK ? buf_cstr(&out) : err.text, cases[i].want);
        buf_free(&out);
    }
}

static void
test_help_lists_the_table(void **state)
{
    struct buf out;

    assert_int_equal(ask(*state, &out, "help", NULL), RC_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_non_null(strstr(buf_cstr(&out), rows[i].help));
    buf_free(&out);
}

static void
test_long_answer_arrives_whole(void **state)
{
    struct buf out;

    assert_int_equal(ask(*state, &out, "much", NULL), RC_OK);
    assert_int_equal(out.len, 20000 * 100);
    buf_free(&out);
}

static void
test_only_we_may_open_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static int
dial(const struct fixture *f)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(to.sun_path, f->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

/* The other side hangs up within the limit. */
static void
assert_hangs_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;
    ssize_t n;

    assert_int_equal(poll(&p, 1, LIMIT_MS), 1);
    n = recv(fd, &c, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

static void
test_line_without_end_is_cut_off(void **state)
{
    char big[5000];
    int fd = dial(*state);

    memset(big, 'x', sizeof(big));
    assert_true(send(fd, big, sizeof(big), MSG_NOSIGNAL) > 4096);
    assert_hangs_up(fd);
}

static void
test_clients_are_bounded(void **state)
{
    struct buf out;
    int fds[16];

    for (int i = 0; i < 16; i++)
        fds[i] = dial(*state);
    assert_hangs_up(dial(*state)); /* the 17th */
    for (int i = 0; i < 16; i++)
        close(fds[i]);
    /* their places become free again, at the latest when the loop has seen them go */
    for (int tries = 0; ask(*state, &out, "show", NULL) != RC_OK; tries++) {
        assert_true(tries < 1000);
        buf_free(&out);
    }
    buf_free(&out);
}

static void
test_two_questions_in_one_piece(void **state)
{
    static const char both[] = "show a\nshow b\r\n", want[] = "0 a\n.\n0 b\n.\n";
    char got[sizeof(want)];
    int fd = dial(*state);

    assert_int_equal(send(fd, both, strlen(both), 0), strlen(both));
    assert_int_equal(recv(fd, got, strlen(want), MSG_WAITALL), strlen(want));
    assert_memory_equal(got, want, strlen(want));
    close(fd);
}

static void
test_answer_later_and_to_nobody(void **state)
{
    struct buf out;
    int fd = dial(*state);
    char got[8];

    assert_int_equal(send(fd, "keep\n", 5, 0), 5);
    /* "now" on another connection answers as soon as "keep" has been seen */
    do {
        assert_int_equal(ask(*state, &out, "now", NULL), RC_OK);
        buf_free(&out);
    } while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0);
    assert_memory_equal(got, "later\n.\n", 8);
    assert_int_equal(send(fd, "keep\n", 5, 0), 5);
    close(fd);
    assert_int_equal(ask(*state, &out, "show", NULL), RC_OK);
    buf_free(&out); /* teardown finishes the kept call after everybody has gone */
}

static void
test_slow_answer_times_out(void **state)
{
    struct fixture *f = *state;
    struct buf out;

    buf_init(&out, 100);
    assert_int_equal(admin_ask(&out, f->path, "keep", 50, NULL), RC_TIMEOUT);
    buf_free(&out);
}

static void
test_live_socket_is_not_taken_over(void **state)
{
    struct fixture *f = *state;
    struct admin *second;
    struct loop *loop;
    struct buf out;

    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(admin_open(&second, loop, f->path, rows, 1, NULL, NULL), RC_BUSY);
    assert_null(second);
    loop_free(&loop);
    assert_int_equal(ask(f, &out, "show", NULL), RC_OK);
    buf_free(&out);
}

static void
test_dead_socket_is_taken_over(void **state)
{
    char path[] = "/tmp/parley-admin-dead-XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct admin *admin;
    struct loop *loop;
    struct buf out;

    close(mkstemp(path));
    unlink(path);
    strcpy(at.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    close(fd); /* its owner died */
    buf_init(&out, 10);
    assert_int_equal(admin_ask(&out, path, "show", LIMIT_MS, NULL), RC_NOTFOUND);
    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(admin_open(&admin, loop, path, rows, 1, NULL, NULL), RC_OK);
    admin_free(&admin);
    admin_free(&admin);
    loop_free(&loop);
    assert_int_equal(admin_ask(&out, path, "show", LIMIT_MS, NULL), RC_NOTFOUND);
}

static void
test_path_longer_than_an_address(void **state)
{
    struct fixture *f = *state;
    char dir[300], path[320];
    struct admin *admin;
    struct buf out;
    struct loop *loop;

    snprintf(dir, sizeof(dir), "%s/%0150d", f->dir, 1);
    snprintf(path, sizeof(path), "%s/sock", dir);
    buf_init(&out, 10);
    assert_int_equal(admin_ask(&out, path, "show", LIMIT_MS, NULL), RC_NOTFOUND);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(loop_new(&loop, NULL), RC_OK);
    assert_int_equal(admin_open(&admin, loop, path, rows, 1, NULL, NULL), RC_OK);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(admin_ask(&out, path, "show", 20, NULL),
                     RC_TIMEOUT); /* nobody runs this loop */
    admin_free(&admin);
    loop_free(&loop);
    rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help_lists_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_answer_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_we_may_open_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_without_end_is_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_questions_in_one_piece, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_later_and_to_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_answer_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_live_socket_is_not_taken_over, setup, teardown),
        cmocka_unit_test(test_dead_socket_is_taken_over),
        cmocka_unit_test_setup_teardown(test_path_longer_than_an_address, setup, teardown),
    };

    return cmocka_run_group_tests_name("base/admin", tests, NULL, NULL);
}

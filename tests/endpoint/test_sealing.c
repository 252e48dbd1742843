/* test_sealing.c - what leaves an endpoint: under which keys, how often, and to which devices. */
#include "pair.h"

#include "endpoint/endpoint.h"

#define LINES_MAX 20000u
#define HEX_SIZE 33u

struct fact {
    char key[HEX_SIZE], plain[HEX_SIZE], cipher[HEX_SIZE], message[HEX_SIZE];
};

static void
field(char out[HEX_SIZE], const char *line, const char *name)
{
    const char *at = strstr(line, name);

    out[0] = '\0';
    if (at != NULL)
        sscanf(at + strlen(name), "%32[0-9a-f]", out);
}

/* Events of one name in a person's log. */
static size_t
facts_read(struct person *p, const char *event, struct fact *out)
{
    char *log = person_log(p);
    size_t n = 0;

    for (char *save = NULL, *line = strtok_r(log, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, event) == NULL || n == LINES_MAX)
            continue;
        field(out[n].key, line, " key=");
        field(out[n].plain, line, " plain=");
        field(out[n].cipher, line, " cipher=");
        field(out[n].message, line, " message=");
        n++;
    }
    free(log);
    return n;
}

static bool
was_published(const struct fact *published, size_t n, const char *cipher)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(published[i].cipher, cipher) == 0)
            return true;
    return false;
}

/* Of what left, each key met one plaintext (I24) and each message one ciphertext (I25). Returns how
 * many publishes were repeated. */
static unsigned
check_keys(struct person *p)
{
    struct fact *made = calloc(LINES_MAX, sizeof *made), *out = calloc(LINES_MAX, sizeof *out);
    size_t n_made = facts_read(p, "endpoint.encrypted", made),
           n_out = facts_read(p, "endpoint.published", out);
    unsigned again = 0;

    assert_true(n_made > 0 && n_out > 0);
    for (size_t i = 0; i < n_made; i++)
        for (size_t j = i + 1; j < n_made; j++)
            if (strcmp(made[i].key, made[j].key) == 0 && strcmp(made[i].plain, made[j].plain) != 0)
                assert_false(was_published(out, n_out, made[i].cipher) &&
                             was_published(out, n_out, made[j].cipher));
    for (size_t i = 0; i < n_out; i++)
        for (size_t j = i + 1; j < n_out; j++)
            if (strcmp(out[i].message, out[j].message) == 0) {
                assert_string_equal(out[i].cipher, out[j].cipher);
                again++;
            }
    free(made);
    free(out);
    return again;
}

/* Cut off between sending and being answered, over and over. */
static void
test_i24_i25_retries_send_the_same_bytes(void **state)
{
    struct pair *t = *state;
    unsigned pending = 0;

    pair_greet(t);
    for (unsigned round = 0; round < 5; round++) {
        person_send_many(&t->ana, &t->ben, round * 20, 20, &pending);
        person_wait_zero(&t->ana, &pending);
        rig_stop(&t->rig);
        t->rig.opt.port = t->rig.port;
        if (round % 2 == 0) {
            person_stop(&t->ana);
            rig_start(&t->rig);
            person_start(&t->ana);
        } else {
            rig_start(&t->rig);
        }
    }
    person_wait_count(&t->ana, "\"status\":\"delivered\"", 101);
    assert_int_equal(person_check_order(&t->ben, "in"), 100);
    (void)check_keys(&t->ben);
    assert_true(check_keys(&t->ana) > 0); /* or nothing was shown */
}

static void
test_unanswered_messages_wait_for_an_answer(void **state)
{
    const unsigned n = ENDPOINT_UNANSWERED_MAX + 50;
    struct pair *t = *state;
    unsigned pending = 0;

    person_offline(&t->ben, true);
    person_send_many(&t->ana, &t->ben, 0, n, &pending);
    person_wait_zero(&t->ana, &pending);
    person_wait_count(&t->ana, "\"status\":\"sent\"", ENDPOINT_UNANSWERED_MAX);
    rig_pass_ms(&t->rig, 100);
    assert_int_equal(person_count(&t->ana, "\"status\":\"pending\""), 50);
    person_offline(&t->ben, false);
    person_wait_count(&t->ana, "\"status\":\"delivered\"", n);
    assert_int_equal(person_check_order(&t->ben, "in"), n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_i24_i25_retries_send_the_same_bytes),
        CASE(test_unanswered_messages_wait_for_an_answer),
    };

    return cmocka_run_group_tests_name("endpoint/sealing", tests, NULL, NULL);
}

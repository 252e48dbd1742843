/* measure.c - see measure.h. */
#include "measure.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double
seconds_of(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int64_t
now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

double
own_cpu_s(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

double
cpu_s(pid_t pid)
{
    clockid_t id;

    return clock_getcpuclockid(pid, &id) == 0 ? seconds_of(id) : 0;
}

double
pss_mib(pid_t pid)
{
    char path[64], line[256];
    unsigned long kib = 0;
    FILE *in;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    if ((in = fopen(path, "re")) == NULL)
        return 0;
    while (fgets(line, sizeof(line), in) != NULL)
        if (sscanf(line, "Pss: %lu kB", &kib) == 1)
            break;
    fclose(in);
    return (double)kib / 1024;
}

static pid_t
parent_of(pid_t pid)
{
    char path[64], line[512] = "";
    const char *after;
    int parent = 0;
    FILE *in;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if ((in = fopen(path, "re")) == NULL)
        return 0;
    /* "pid (name) state ppid …": the name may hold anything, so look behind its last bracket */
    if (fgets(line, sizeof(line), in) != NULL && (after = strrchr(line, ')')) != NULL)
        (void)sscanf(after + 1, " %*c %d", &parent);
    fclose(in);
    return parent;
}

size_t
process_family(pid_t *out, size_t max, pid_t root)
{
    size_t n = 1;

    out[0] = root;
    for (size_t i = 0; i < n; i++) {
        struct dirent *entry;
        DIR *proc = opendir("/proc");

        while (proc != NULL && (entry = readdir(proc)) != NULL)
            if (isdigit((unsigned char)entry->d_name[0]) && n < max &&
                parent_of(atoi(entry->d_name)) == out[i])
                out[n++] = atoi(entry->d_name);
        if (proc != NULL)
            closedir(proc);
    }
    return n;
}

void
waits_add(struct waits *waits, int64_t us)
{
    if (waits->n == waits->cap) {
        size_t cap = waits->cap == 0 ? 4096 : waits->cap * 2;
        uint32_t *room = realloc(waits->us, cap * sizeof(*room));

        if (room == NULL)
            return;
        waits->us = room;
        waits->cap = cap;
    }
    waits->us[waits->n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int
by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

double
waits_ms(struct waits *waits, double share)
{
    size_t at;

    if (waits->n == 0)
        return 0;
    qsort(waits->us, waits->n, sizeof(waits->us[0]), by_time);
    at = (size_t)(share * (double)waits->n);
    return (double)waits->us[at < waits->n ? at : waits->n - 1] / 1000;
}

void
waits_wipe(struct waits *waits)
{
    free(waits->us);
    *waits = (struct waits){0};
}

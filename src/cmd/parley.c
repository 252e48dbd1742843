/* parley.c - the command line: one row a word. */
#include <stdio.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/parley_cmds.h"

#define VERSION "0.1.0"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
    const char *word;
    int (*run)(int argc, char **argv);
    const char *help; /* NULL: not for people */
} commands[] = {
    {"up",             parley_cmd_up,             "run the whole platform on this machine"     },
    {"ready",          parley_cmd_ready,          "wait until the platform serves"             },
    {"stop",           parley_cmd_stop,           "stop the running platform"                  },
    {"clock",          parley_cmd_clock,          "move the time of a test platform"           },
    {"business",       parley_cmd_business,       "businesses: add, create, list, show, revoke"},
    {"waba",           parley_cmd_waba,           "WhatsApp Business Accounts"                 },
    {"number",         parley_cmd_number,         "business phone numbers"                     },
    {"app",            parley_cmd_app,            "apps and their secrets"                     },
    {"token",          parley_cmd_token,          "access tokens"                              },
    {"phone",          parley_cmd_phone,          "a person's phone: register, send, listen"   },
    {"demo-provision", parley_cmd_demo_provision, NULL                                         },
    {"version",        cmd_version,               "version of this program"                    },
    {"help",           cmd_help,                  "this list"                                  },
};

static void
usage(FILE *out)
{
    fputs("Usage: parley COMMAND [flags]      (parley COMMAND --help says more)\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].help != NULL)
            fprintf(out, "  %-10s %s\n", commands[i].word, commands[i].help);
    fputs("\nTo try it:  parley up --demo\n", out);
}

static int
cmd_help(int argc UNUSED, char **argv UNUSED)
{
    usage(stdout);
    return CMD_OK;
}

static int
cmd_version(int argc UNUSED, char **argv UNUSED)
{
    puts("parley " VERSION);
    return CMD_OK;
}

int
main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    if (strcmp(word, "--version") == 0)
        word = "version";
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].word, word) == 0)
            return commands[i].run(argc - 2, argv + 2);
    if (word[0] != '\0')
        fprintf(stderr, "parley: there is no command \"%s\"\n\n", word);
    usage(stderr);
    return CMD_USAGE;
}

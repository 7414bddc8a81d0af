/* SPDX-License-Identifier: MIT
 *
 * Writes the completions of bash and zsh from the tables of commands and options.
 */
#include "commands.h"
#include "message.h"

#include <string.h>

static bool takes(const struct lap_command *command, const struct lap_option *option)
{
    return option->commands & (uint32_t)command->bit;
}

/* ---- bash ---- */

static const char *bash_offer(enum lap_completion completion, const char *words)
{
    static char text[256];
    switch (completion) {
    case LAP_COMPLETE_DIRECTORY: return "_lapmark_directories";
    case LAP_COMPLETE_WORDS: snprintf(text, sizeof text, "_lapmark_words '%s'", words); return text;
    case LAP_COMPLETE_COMMAND: return "_lapmark_words \"$commands\"";
    case LAP_COMPLETE_PROGRAM:
    case LAP_COMPLETE_NOTHING: break;
    }
    return ":";
}

static void bash_command(const struct lap_command *command)
{
    printf("    %s)\n        case $previous in\n", command->name);
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (!takes(command, option) || !option->argument)
            continue;
        if (option->letter)
            printf("        -%c|", option->letter);
        printf("%s--%s) %s; return ;;\n", option->letter ? "" : "        ", option->name,
               bash_offer(option->completion, option->words));
    }
    printf("        esac\n        if [[ $current == -* ]]; then\n            _lapmark_words '");
    const char *separator = "";
    for (size_t i = 0; i < lap_options_count; i++) {
        const struct lap_option *const option = &lap_options[i];
        if (!takes(command, option))
            continue;
        if (option->letter) {
            printf("%s-%c", separator, option->letter);
            separator = " ";
        }
        printf("%s--%s", separator, option->name);
        separator = " ";
    }
    printf("'\n        else\n            %s\n        fi ;;\n", command->completion == LAP_COMPLETE_PROGRAM
                                                                   ? "_lapmark_words --"
                                                                   : bash_offer(command->completion, command->words));
}

static void bash_commands_taking_program(void)
{
    const char *separator = "";
    for (size_t i = 0; i < lap_commands_count; i++) {
        if (lap_commands[i].completion != LAP_COMPLETE_PROGRAM)
            continue;
        printf("%s%s", separator, lap_commands[i].name);
        separator = "|";
    }
}

static void bash(void)
{
    fputs("# bash completion of lapmark, written by 'lapmark completion bash'\n"
          "_lapmark_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"); }\n"
          "_lapmark_directories() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); }\n"
          "_lapmark_program() {\n"
          "    local i\n"
          "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
          "        [[ ${COMP_WORDS[i]} == -- ]] || continue\n"
          "        if ((i + 1 == COMP_CWORD)); then\n"
          "            compopt -o filenames\n"
          "            mapfile -t COMPREPLY < <(compgen -c -f -- \"$current\")\n"
          "        else\n"
          "            compopt -o filenames\n"
          "            mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
          "        fi\n"
          "        return 0\n"
          "    done\n"
          "    return 1\n"
          "}\n"
          "_lapmark() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local commands='",
          stdout);
    for (size_t i = 0; i < lap_commands_count; i++)
        printf("%s%s", i > 0 ? " " : "", lap_commands[i].name);
    fputs("'\n    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        _lapmark_words \"$commands", stdout);
    for (size_t i = 0; i < lap_options_count; i++)
        if (lap_options[i].commands & LAP_COMMAND_NONE)
            printf(" --%s", lap_options[i].name);
    fputs("\"\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n    ", stdout);
    bash_commands_taking_program();
    fputs(") _lapmark_program && return ;;\n    esac\n    case ${COMP_WORDS[1]} in\n", stdout);
    for (size_t i = 0; i < lap_commands_count; i++)
        bash_command(&lap_commands[i]);
    fputs("    esac\n}\ncomplete -F _lapmark lapmark\n", stdout);
}

/* ---- zsh ---- */

/* A text inside '...', with what _arguments takes for its own syntax escaped. */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            fputc(*text, stdout);
    }
}

static void zsh_offer(enum lap_completion completion, const char *words)
{
    switch (completion) {
    case LAP_COMPLETE_DIRECTORY: fputs("_files -/", stdout); break;
    case LAP_COMPLETE_WORDS: printf("(%s)", words); break;
    case LAP_COMPLETE_COMMAND: fputs("_lapmark_commands", stdout); break;
    case LAP_COMPLETE_PROGRAM: fputs("_normal", stdout); break;
    case LAP_COMPLETE_NOTHING: fputc(' ', stdout); break;
    }
}

static void zsh_option(const struct lap_option *option)
{
    if (option->letter)
        printf("            '(-%c --%s)'{-%c%s,--%s%s}'[", option->letter, option->name, option->letter,
               option->argument ? "+" : "", option->name, option->argument ? "=" : "");
    else
        printf("            '--%s%s[", option->name, option->argument ? "=" : "");
    zsh_text(option->help);
    fputc(']', stdout);
    if (option->argument) {
        printf(":%s:", option->argument);
        zsh_offer(option->completion, option->words);
    }
    fputs("' \\\n", stdout);
}

static void zsh_command(const struct lap_command *command)
{
    printf("    %s)\n        _arguments -s%s \\\n", command->name,
           command->completion == LAP_COMPLETE_PROGRAM ? " -S -A '-*'" : "");
    for (size_t i = 0; i < lap_options_count; i++)
        if (takes(command, &lap_options[i]))
            zsh_option(&lap_options[i]);
    if (command->completion == LAP_COMPLETE_PROGRAM)
        fputs("            '(-):program: _command_names -e' '*::argument: _normal' ;;\n", stdout);
    else if (command->completion == LAP_COMPLETE_NOTHING)
        fputs("            && return ;;\n", stdout);
    else {
        printf("            '%s:", command->operands_max == 1 ? "1" : "*");
        zsh_text(command->completion == LAP_COMPLETE_DIRECTORY ? "recording"
                 : command->completion == LAP_COMPLETE_WORDS   ? "shell"
                                                               : "command");
        fputc(':', stdout);
        zsh_offer(command->completion, command->words);
        fputs("' ;;\n", stdout);
    }
}

static void zsh(void)
{
    fputs("#compdef lapmark\n"
          "# zsh completion of lapmark, written by 'lapmark completion zsh'\n"
          "_lapmark_commands() {\n    local -a commands=(\n",
          stdout);
    for (size_t i = 0; i < lap_commands_count; i++) {
        printf("        '%s:", lap_commands[i].name);
        zsh_text(lap_commands[i].summary);
        fputs("'\n", stdout);
    }
    fputs("    )\n    _describe -t commands command commands\n}\n"
          "_lapmark() {\n"
          "    local curcontext=$curcontext state line\n"
          "    if ((CURRENT == 2)); then\n"
          "        _lapmark_commands\n        [[ $PREFIX == -* ]] && compadd --",
          stdout);
    for (size_t i = 0; i < lap_options_count; i++)
        if (lap_options[i].commands & LAP_COMMAND_NONE)
            printf(" --%s", lap_options[i].name);
    fputs("\n        return\n    fi\n    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command "
          "in\n",
          stdout);
    for (size_t i = 0; i < lap_commands_count; i++)
        zsh_command(&lap_commands[i]);
    fputs("    esac\n}\nif [[ $funcstack[1] == _lapmark ]]; then\n    _lapmark \"$@\"\nelse\n    compdef _lapmark "
          "lapmark\nfi\n",
          stdout);
}

int lap_command_completion(const struct lap_arguments *arguments)
{
    const char *const shell = arguments->operands[0];
    if (strcmp(shell, "bash") == 0)
        bash();
    else if (strcmp(shell, "zsh") == 0)
        zsh();
    else
        return lap_message_trouble("no completion for '%s', only for bash and zsh", shell);
    return LAP_EXIT_FINE;
}

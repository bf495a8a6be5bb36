# SPDX-License-Identifier: GPL-2.0-or-later
# options.awk: reads a program's options.def (format: common/sys/opt.h) and prints
#   -v output=list                        one line per option: letter, long name, argument ("-": none), "hidden" or "shown"
#   -v output=completion -v program=NAME  a bash completion for NAME; -v words="host command" says what follows the options
#                                         -v verbs="ps top" what may stand in the place of a host
# Must not know: any program.

function fail(why)
{
    printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
    failed = 1
    exit 1
}

# Takes 'x', "text", 0 or NULL and the comma from the front of rest; returns it bare, "-" for none.
function take(    token)
{
    sub(/^[ \t]+/, "", rest)
    if (match(rest, /^'.'/) || match(rest, /^"[^"]*"/))
        token = substr(rest, 2, RLENGTH - 2)
    else if (match(rest, /^(0|NULL)/))
        token = "-"
    else
        fail("a letter, a \"text\", 0 or NULL is expected at: " rest)
    rest = substr(rest, RLENGTH + 1)
    if (!sub(/^[ \t]*,/, "", rest))
        fail("a comma is expected at: " rest)
    return token
}

function end_of_option(    letter, name, arg)
{
    rest = text
    sub(/^OPT\(/, "", rest)
    letter = take(); name = take(); arg = take()
    count++
    letters[count] = letter; names[count] = name; args[count] = arg
    hidden[count] = rest ~ /,[ \t]*NULL[ \t]*\)[ \t]*$/
    text = ""
}

/^OPT\(/ { text = $0 }
!/^OPT\(/ && text != "" { text = text " " $0 }
text != "" && /\)[ \t]*$/ { end_of_option() }

function list(    i)
{
    for (i = 1; i <= count; i++)
        print letters[i], names[i], args[i], hidden[i] ? "hidden" : "shown"
}

function spellings(i,    s)
{
    s = letters[i] != "-" ? "-" letters[i] : ""
    if (names[i] != "-")
        s = s (s == "" ? "" : "|") "--" names[i]
    return s
}

# The bash statement that completes an argument of this name.
function completer(arg)
{
    if (arg ~ /\|/) {
        gsub(/\|/, " ", arg)
        return "mapfile -t COMPREPLY < <(compgen -W '" arg "' -- \"$cur\")"
    }
    if (arg ~ /^(HOST|host)$/)
        return "if declare -F _known_hosts_real >/dev/null; then _known_hosts_real -a -- \"$cur\"; else mapfile -t COMPREPLY < <(compgen -A hostname -- \"$cur\"); fi"
    if (arg ~ /(PATH|DIR|FILE|path|dir|file|mountpoint)/)
        return "mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")"
    return ":"
}

function completion(    i, all, with_arg, fn, n, word, w)
{
    for (i = 1; i <= count; i++) {
        if (hidden[i])
            continue
        if (names[i] != "-")
            all = all " --" names[i]
        else
            all = all " -" letters[i]
        if (args[i] != "-")
            with_arg = with_arg (with_arg == "" ? "" : "|") spellings(i)
    }
    fn = "_" program
    gsub(/-/, "_", fn)
    print "# bash completion for " program "; made by build-aux/options.awk"
    print fn "()\n{"
    print "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} i seen=0"
    print "    COMPREPLY=()"
    print "    # How many words that are no options stand before the cursor?"
    print "    for ((i = 1; i < COMP_CWORD; i++)); do"
    print "        case ${COMP_WORDS[i]} in"
    if (with_arg != "")
        print "            " with_arg ") [ $((i + 1)) -lt \"$COMP_CWORD\" ] && i=$((i + 1)) ;;"
    print "            -*) ;;"
    print "            *) seen=$((seen + 1)); [ $seen -eq " split(words, word, " ") - (words ~ /command/) " ] && break ;;"
    print "        esac"
    print "    done"
    print "    if [ $seen -eq 0 ]; then"
    print "        case $prev in"
    for (i = 1; i <= count; i++)
        if (!hidden[i] && args[i] != "-")
            print "            " spellings(i) ") " completer(args[i]) "; return ;;"
    print "        esac"
    print "        case $cur in"
    print "            -*) mapfile -t COMPREPLY < <(compgen -W '" substr(all, 2) " --help --version' -- \"$cur\"); return ;;"
    print "        esac"
    print "    fi"
    if (verbs != "") {
        print "    [ $seen -gt 0 ] && case ${COMP_WORDS[i]} in"
        alternatives = verbs
        gsub(/ /, " | ", alternatives)
        print "        " alternatives ") " completer("host") "; return ;;"
        print "    esac"
    }
    print "    case $seen in"
    n = split(words, word, " ")
    for (w = 1; w <= n; w++)
        if (word[w] == "command")
            print "        *) if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); else mapfile -t COMPREPLY < <(compgen -c -- \"$cur\"); fi ;;"
        else
            print "        " w - 1 ") " completer(word[w]) " ;;"
    print "    esac"
    if (verbs != "")
        print "    [ $seen -eq 0 ] && mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W '" verbs "' -- \"$cur\")"
    print "    return 0"
    print "}"
    print "complete -o bashdefault -o default -F " fn " " program
}

END {
    if (failed)
        exit 1
    if (text != "")
        fail("the last option does not end")
    if (output == "list")
        list()
    else if (output == "completion")
        completion()
    else
        fail("-v output=list or completion is needed")
}

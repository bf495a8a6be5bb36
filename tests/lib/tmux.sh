# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck disable=SC2154 # of functions.sh and mrc_lab.sh
# tmux.sh: a terminal that a test reads and types at; after lab_up.
#     t ARGUMENT...            tmux, with a server of this test's
#     new_terminal             ends that one; the next is another, so that nobody meets one that is just ending
#     screen / shows REGEX     what is on it
#     on_screen REGEX [NOT]    waits for it, while NOT must not be seen
#     not_on_screen REGEX      waits until it is gone
#     keys KEY...              typed
export LC_ALL=C.UTF-8 LANG=C.UTF-8
unset TMUX SSH_AUTH_SOCK
terminals=0
t() { tmux -L "$name-$terminals" -f /dev/null "$@"; }
new_terminal()
{
    t kill-server 2>/dev/null
    terminals=$((terminals + 1))
}
at_exit 't kill-server 2>/dev/null'
screen() { t capture-pane -p -t 0; }
shows() { screen | grep -Eq -- "$1"; }
screen_text() { screen | grep -v '^$' | tail -15; }
on_screen()
{
    local until=$(($(date +%s) + 30))
    until shows "$1"; do
        [ "$(date +%s)" -lt $until ] || fail "not on the screen: '$1'; but: $(screen_text)"
        [ -z "${2-}" ] || ! shows "$2" || fail "on the screen: $2: $(screen_text)"
        sleep 0.1
    done
}
not_on_screen() { wait_for 20 eval "! shows '$1'"; }
keys() { t send-keys -t 0 "$@"; }

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mosweb-page.sh: the page of mosweb in headless Chromium: live, at 360 columns, by keys only, with hostile names, without mosixd.
set -u
. "${top_srcdir:-.}/tests/lib/functions.sh"
requires python3
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || skip "needs chromium"
[ -x "$top_builddir/gossip/monitor/mosweb" ] || skip "mosweb is not built (--without-mosweb)"
chmod 755 "$tmp"
TMPDIR=$tmp timeout -k 2 120 python3 - "$top_srcdir/tests/cluster" "$top_builddir" "$tmp/run" <<'PY'
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from browser import Browser
build, run = sys.argv[2:4]
started = []

def start(*command):
    p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    started.append(p)
    return p, p.stdout.readline().strip()

def end(p):
    p.terminate()
    p.wait()

try:
    daemon, _ = start(build + '/tests/cluster/standin', run, 'nodes=70', 'seed=5', 'clusters=3', 'live=1')
    _, url = start(build + '/gossip/monitor/mosweb', '--run', run, '--listen', '127.0.0.1:0', '-i', '1')
    with Browser() as b:
        page = b.page(360, 800, scheme='dark', motion='reduce', mobile=True)
        page.go(url)
        page.wait('document.querySelectorAll("#rows tr").length === 70 && document.querySelectorAll("#charts svg").length === 4')
        assert page.value('document.documentElement.scrollWidth') == 360, 'wider than a telephone'
        assert page.value('getComputedStyle(document.body).backgroundColor') == 'rgb(14, 19, 24)', 'not dark'
        assert page.value('getComputedStyle(document.querySelector(".bar i")).transitionDuration') == '0s', 'moves though it should not'
        assert page.value('document.querySelector("#tiles").innerText').count('SUSPECT') == 1
        page.wait('document.querySelector("#live").className === "ok"')
        before = page.value('document.querySelector("#rows").innerText')
        page.wait(f'document.querySelector("#rows").innerText !== {before!r}')  # live

        # By keys only: to the first node, its details, and out again.
        page = b.page(1280, 800)
        page.go(url)
        page.wait('document.querySelectorAll("#rows tr").length === 70')
        assert page.value('getComputedStyle(document.body).backgroundColor') == 'rgb(245, 246, 248)', 'not light'
        for _ in range(60):
            page.key('Tab')
            if page.value('!!document.activeElement.dataset.node'):
                break
        else:
            sys.exit('no node is reached by keys')
        time.sleep(2.5)  # redrawn twice meanwhile
        assert page.value('document.activeElement.dataset.node') == '1', 'the focus is lost when the list is drawn anew'
        page.key('Enter', '\r')
        page.wait('document.querySelector("#node").open && document.querySelector("#node-facts").innerText.includes("10.0.0.1")')
        page.key('Escape')
        page.wait('!document.querySelector("#node").open')
        page.value('document.querySelector("[data-view=map]").click()')
        page.wait('document.querySelector("#map-words").textContent.startsWith("70 nodes")')
        page.value('document.querySelector("#clusters [data-cluster=\\"1\\"]").click()')
        page.wait('document.querySelector("#map-words").textContent.startsWith("23 nodes")')

        # mosixd goes, and comes back with names that are no names.
        end(daemon)
        page.wait('!document.querySelector("#trouble").hidden && document.querySelector("#trouble").textContent.includes("no mosixd runs on this node")')
        daemon, _ = start(build + '/tests/cluster/standin', run, 'nodes=8', 'bad=hostile')
        page.wait('document.querySelector("#trouble").hidden')
        page.value('document.querySelector("[data-view=list]").click()')
        page.wait('document.querySelector("#rows").innerText.includes("<script>alert(1)</script>")')
        assert page.value('document.querySelectorAll("#rows script, #rows b[onload]").length') == 0, 'a name has become markup'
        assert not page.complaints(), page.complaints()
finally:
    for p in started:
        if p.poll() is None:
            end(p)
PY

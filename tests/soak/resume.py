#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""resume.py: jobs of real programs on the lab's nodes whose connections are cut at random; started by resume.sh.

Each job has a node, a delay and its share of the cuts. It repeats its work until they are done; then what it said and
what it left must be, byte for byte, what the same work says and leaves on the head, and its terminal as it was.
The seed chooses kinds, delays, cuts and pauses; not the moments, which depend on the computer."""
import hashlib, os, random, re, shutil, statistics, subprocess, sys, threading, time

LAB, NAME, USER, HOME, CONF, TMP, LOG = sys.argv[1:8]
JOBS, CUTS, SEED, NODES = map(int, sys.argv[8:12])
HERE = os.path.dirname(os.path.abspath(__file__))
WORK = "build git_work sqlite_work tar_work python_work".split()
KINDS = os.environ["RESUME_KINDS"].split() if "RESUME_KINDS" in os.environ else ["build", "vim", "git_work", "sqlite_work", "tar_work", "less", "python_work", "copy", "shell"]
DELAYS_MS = (0, 5, 20, 40, 80)  # one way
BACK_S, END_S, WORK_S = 90, 120, 60
proj = f"{HOME}/proj"
stop = threading.Event()
failures = []


class Wrong(Exception):
    pass


class Stopped(Exception):
    """Another job has failed."""


def lab(*words, **opts):
    return subprocess.run([LAB, "--name", NAME, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, **opts)


def head(*words):
    return [LAB, "--name", NAME, "head", "-u", USER, "--", "env", f"HOME={HOME}", *words]


def root_here(*words):
    return lab("head", "--", *words).stdout


def there(node, command):
    return lab("run", node, "--", "sh", "-c", command).stdout


def wait_for(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if stop.is_set():
            raise Stopped()
        if time.monotonic() > end:
            raise Wrong(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def log_text():
    try:
        with open(LOG, errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def backs(node):
    return len(re.findall(rf"\b{node}: the connection is back after ", log_text()))


def listing(root):
    """Names, kinds, modes and contents of everything below root."""
    lines = []
    for where, dirs, files in sorted(os.walk(root)):
        for name in sorted(dirs + files):
            path = os.path.join(where, name)
            st = os.lstat(path)
            if os.path.islink(path):
                what = "-> " + os.readlink(path)
            elif os.path.isdir(path):
                what = "directory"
            else:
                with open(path, "rb") as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            lines.append(f"{path[len(root):]} {st.st_mode:o} {what}")
    return lines


class Node:
    """A node, its link, and what can happen to that."""

    def __init__(self, number):
        self.name, self.address, self.number = f"n{number}", f"10.77.0.{number}", number
        self.delay_ms = 0
        self.own = None  # the head's address towards it
        self.changes = 0

    def link(self, *words):
        done = lab("link", "head", self.name, "--delay", f"{self.delay_ms}ms", *words)
        if done.returncode:
            raise Wrong(done.stderr)
        self.route()

    def route(self):
        if self.own:
            root_here("ip", "route", "replace", f"{self.address}/32", "dev", f"to-{self.name}", "src", self.own)

    def new_address(self):
        """The head gets another address; connections of the old one hang."""
        old, self.changes = self.own, self.changes + 1
        self.own = f"10.77.0.{100 + self.number * 10 + self.changes % 2}"
        root_here("ip", "address", "replace", f"{self.own}/24", "dev", "eth0")
        there(self.name, f"ip route replace {self.own}/32 dev to-head src {self.address}")
        self.route()
        if old:
            root_here("ip", "address", "del", f"{old}/24", "dev", "eth0")

    def holders(self):
        """Who holds a connection to it here."""
        return set(map(int, re.findall(r"pid=(\d+)", root_here("ss", "-Htnp", "dst", self.address))))

    def server(self, r):
        there(self.name, 'kill -9 $(pgrep -f "^sshd: alice")')

    def client(self, r):
        for pid in self.holders():
            subprocess.run(["kill", "-9", str(pid)], stderr=subprocess.DEVNULL)

    def reset(self, r):
        root_here("ss", "-K", "dst", self.address)

    def untold(self, r):
        """The node is not told that the connection is over."""
        self.link("--cut", "1s")
        self.reset(r)

    def silence(self, r):
        self.link("--cut", f"{r.randrange(7, 10)}s")

    def address_change(self, r):
        self.new_address()

    def restart(self, r):
        """The server and its connections; for a moment nobody answers."""
        there(self.name, f'kill -9 $(pgrep -x sshd); sleep {r.choice((0, 1))}.{r.randrange(10)}; /usr/sbin/sshd -E /var/log/sshd.log')


WAYS = [(Node.server, 30), (Node.client, 24), (Node.reset, 28), (Node.untold, 8), (Node.silence, 3), (Node.address_change, 4), (Node.restart, 3)]


class Job:
    def __init__(self, number, node, cuts):
        self.number, self.node, self.cuts = number, node, cuts
        self.r = random.Random(f"{SEED} {number}")
        self.kind = KINDS[number % len(KINDS)]
        node.delay_ms = self.delay_ms = DELAYS_MS[self.r.randrange(len(DELAYS_MS))]
        self.way = self.r.choice((["--no-hub"], []))
        self.name = f"j{number}"
        self.dir = f"{proj}/{self.name}"
        self.made = []  # names of the cuts
        self.err = f"{TMP}/{self.name}.err"

    def mrc(self, *words):
        return ["mrc", "-F", CONF, *self.way, "--reconnect-for", "100s", *words]

    def is_alive(self):
        return self.process.poll() is None

    def cut_once(self):
        """A cut, and the return."""
        way = self.r.choices([w for w, _ in WAYS], [n for _, n in WAYS])[0]
        before = backs(self.node.name)
        way(self.node, self.r)
        self.made.append(way.__name__)
        wait_for(BACK_S, f"the return after {way.__name__}", lambda: backs(self.node.name) > before or not self.is_alive())
        if not self.is_alive():
            raise Wrong(f"it ended with its connection, by {way.__name__}")

    def cut_all(self, between):
        for _ in range(self.cuts):
            between()
            self.cut_once()

    def pause(self):
        time.sleep(self.r.random() * 0.8)

    def make_dir(self):
        os.mkdir(self.dir)
        shutil.chown(self.dir, USER)

    def run(self):
        self.make_dir()
        self.node.link()
        self.node.new_address()
        {"vim": self.vim, "less": self.less, "shell": self.shell, "copy": self.copy}.get(self.kind, self.work)()

    # ---- programs without a terminal ----

    def spawn(self, words, stdin=subprocess.DEVNULL):
        with open(f"{TMP}/{self.name}.out", "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(head(*words), cwd=proj, stdin=stdin, stdout=out, stderr=err)

    def finish(self):
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"no end within {END_S} s")
        if status:
            raise Wrong(f"status {status}")
        with open(f"{TMP}/{self.name}.out", "rb") as f:
            return f.read()

    def work(self):
        here = f"{proj}/{self.name}h"
        open(f"{self.dir}/enough", "w").close()
        ref = subprocess.run(head("sh", "work.sh", self.kind, self.dir), cwd=proj, stdin=subprocess.DEVNULL, capture_output=True)
        if ref.returncode:
            raise Wrong(f"on the head: {ref.stderr.decode()}")
        os.rename(self.dir, here)  # some of it has its path in it
        self.make_dir()
        self.spawn(self.mrc(f"alice@{self.node.name}", "sh", "work.sh", self.kind, self.dir))
        wait_for(WORK_S, "its beginning", lambda: os.path.exists(f"{self.dir}/begun") or not self.is_alive())
        self.cut_all(self.pause)
        subprocess.run(head("touch", f"{self.dir}/enough"), check=True)
        said = self.finish()
        rounds = len(said) // len(ref.stdout)
        if said != ref.stdout * rounds or not rounds:
            raise Wrong(f"it said other than on the head: {said[-1000:]!r}")
        if (a := listing(f"{here}/r")) != (b := listing(f"{self.dir}/r")):
            raise Wrong(f"it left other files: {sorted(set(a) ^ set(b))[:10]}")

    def copy(self):
        """What is fed comes back, and into a file, once and in order."""
        fed = hashlib.sha256()
        self.spawn(self.mrc(f"alice@{self.node.name}", "tee", f"{self.dir}/copy"), subprocess.PIPE)
        enough = threading.Event()

        def feed():
            r = random.Random(f"{SEED} {self.number} bytes")
            try:
                for _ in range(4000):
                    if enough.is_set():
                        break
                    piece = r.randbytes(r.choice((1, 1000, 40000)))
                    fed.update(piece)
                    self.process.stdin.write(piece)
                    self.process.stdin.flush()
                    time.sleep(0.01)
                self.process.stdin.close()
            except OSError as e:
                failures.append(f"job {self.number}: standard input: {e}")

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            wait_for(WORK_S, "its beginning", lambda: os.path.exists(f"{self.dir}/copy") or not self.is_alive())
            self.cut_all(self.pause)
        finally:
            enough.set()
            if failures or sys.exc_info()[0]:
                self.process.kill()
            feeder.join()
        said = self.finish()
        with open(f"{self.dir}/copy", "rb") as f:
            if not fed.digest() == hashlib.sha256(said).digest() == hashlib.sha256(f.read()).digest():
                raise Wrong("other bytes than were fed")

    # ---- programs of a terminal ----

    def tmux(self, *words, where="job"):
        return subprocess.run(["tmux", "-L", f"{NAME}-{self.name}-{where}", "-f", "/dev/null", *words], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, env={**os.environ, "TMUX": "", "LC_ALL": "C.UTF-8"})

    def begin(self, where, directory, words):
        """The program in a terminal of 100 by 30, between two looks at the modes of that."""
        script = f"{TMP}/{self.name}-{where}.sh"
        with open(script, "w") as f:
            quoted = " ".join("'" + w + "'" for w in words)
            f.write(f"cd {directory} || exit\nexport HOME={HOME} LC_ALL=C.UTF-8\nstty -g >{HOME}/{self.name}.before\n{quoted}\n"
                    f'echo "ended with $?."\nstty -g >{HOME}/{self.name}.after\nsleep 1000\n')
        self.tmux("new-session", "-d", "-x", "100", "-y", "30", " ".join(head("sh", script)), where=where)
        self.tmux("set-option", "-g", "history-limit", "100000", where=where)

    def screen(self, where="job", *options):
        return self.tmux("capture-pane", "-p", "-t", "0", *options, where=where).stdout

    def on_screen(self, pattern, where="job", seconds=40):
        try:
            wait_for(seconds, pattern, lambda: re.search(pattern, self.screen(where), re.M))
        except Wrong:
            raise Wrong(f"'{pattern}' is not on the screen ({where}): {self.screen(where)}")

    def keys(self, *words, where="job"):
        self.tmux("send-keys", "-t", "0", *words, where=where)

    def type(self, text, where="job"):
        self.tmux("send-keys", "-t", "0", "-l", text, where=where)

    def is_alive_on_screen(self):
        return "ended with" not in self.screen()

    def compare_screens(self):
        """Characters and attributes, once all has come."""
        expected = self.screen("head", "-e")
        try:
            wait_for(40, "the same screen", lambda: self.screen("job", "-e") == expected)
        except Wrong:
            pairs = zip(self.screen("job", "-e").split("\n"), expected.split("\n"))
            raise Wrong("another screen than on the head: " + "; ".join(f"{a!r} instead of {b!r}" for a, b in pairs if a != b))

    def end_terminal(self):
        self.on_screen(r"ended with \d+\.")
        if "ended with 0." not in self.screen():
            raise Wrong(f"status: {self.screen()}")
        wait_for(10, "the terminal's modes", lambda: os.path.exists(f"{HOME}/{self.name}.after") and os.path.getsize(f"{HOME}/{self.name}.after"))
        with open(f"{HOME}/{self.name}.before") as a, open(f"{HOME}/{self.name}.after") as b:
            if a.read() != b.read():
                raise Wrong("the terminal's modes are not what they were")

    def on_terminal(self, words, body):
        # Without -q a line on the screen says that the connection was lost, and the program draws anew afterwards: less breaks off what it does.
        quiet = ["-q"] if self.kind == "less" else []
        self.is_alive = self.is_alive_on_screen
        try:
            self.begin("job", self.dir, self.mrc(*quiet, "-t", f"alice@{self.node.name}", *words))
            body()
            self.end_terminal()
        finally:
            with open(self.err, "w") as f:
                f.write(self.screen())
            self.tmux("kill-server")
            self.tmux("kill-server", where="head")

    def reference(self, words, *files):
        """The same program on the head, in another directory, with these files of the job's."""
        directory = f"{proj}/{self.name}h"
        os.mkdir(directory)
        shutil.chown(directory, USER)
        for name in files:
            shutil.copy(f"{self.dir}/{name}", directory)
        self.begin("head", directory, words)
        return directory

    def vim(self):
        words = ["vim", "-u", "NONE", "-N", "+set noswapfile", "text"]
        lines = []

        def line():
            lines.append(f"line {len(lines)} of what is typed, {self.r.randrange(10**6)}")
            return lines[-1]

        def typing():
            for _ in range(4):
                self.type(line())
                self.keys("Enter")
            self.pause()
            self.type(line())  # on its way when the connection is cut
            self.keys("Enter")

        def end(where):
            self.keys("Escape", where=where)
            time.sleep(1.2)  # vim waits for what may follow Escape
            self.type(":w\n", where=where)
            self.on_screen("written", where)
            self.type(f"{len(lines) // 2}Gzt$", where=where)

        def body():
            self.on_screen(r'"text" \[New\]')
            self.type("i")
            self.cut_all(typing)
            typing()
            self.on_screen(re.escape(lines[-1]))
            here = self.reference(words)
            self.on_screen(r'"text" \[New\]', "head")
            self.type("i", where="head")
            for text in lines:
                self.type(text + "\n", where="head")
            self.on_screen(re.escape(lines[-1]), "head")
            end("head")
            end("job")
            self.compare_screens()
            self.type(":q\n")
            with open(f"{here}/text") as a, open(f"{self.dir}/text") as b:
                if not (a.read() == b.read() == "".join(t + "\n" for t in lines) + "\n"):
                    raise Wrong("vim wrote other than was typed")

        self.on_terminal(words, body)

    def less(self):
        with open(f"{self.dir}/lines", "w") as f:
            f.writelines(f"line {i} of the file\n" for i in range(1, 2001))
        words = ["less", "lines"]

        def walking():
            for _ in range(2):
                n = self.r.randrange(1, 1900)
                self.type(f"{n}g")
                self.on_screen(f"^line {n} of")
            self.pause()
            self.type(f"{self.r.randrange(1, 1900)}g")

        def body():
            self.on_screen("^line 29 of")
            self.cut_all(walking)
            self.reference(words, "lines")
            self.on_screen("^line 29 of", "head")
            for where in "job", "head":
                self.type("/line 77[0-9] \n", where=where)
                self.type("777g", where=where)
                self.on_screen("^line 777 of", where)
            self.compare_screens()
            self.type("q")

        self.on_terminal(words, body)

    def shell(self):
        """Lines that are typed at any moment arrive once, in order."""
        count = 0

        def typing():
            nonlocal count
            for _ in range(5):
                self.type(f"echo got-$(({count} * 3))-{count}\n")
                count += 1
            self.pause()
            self.type(f"echo got-$(({count} * 3))-{count}\n")
            count += 1

        def body():
            self.type("stty -echo; PS1=; echo rea''dy\n")
            self.on_screen("^ready")
            self.cut_all(typing)
            typing()
            self.on_screen(f"got-{(count - 1) * 3}-{count - 1}")
            got = re.findall(r"^got-(\d+)-(\d+)$", self.screen("job", "-S", "-"), re.M)
            if got != [(str(i * 3), str(i)) for i in range(count)]:
                raise Wrong(f"lines of a shell: {got}")
            self.type("stty size\n")
            self.on_screen("^30 100$")
            self.type("exit 0\n")

        self.on_terminal(["bash", "--norc", "--noprofile"], body)


def worker(node, queue, done):
    while not stop.is_set():
        try:
            number, cuts = queue.pop(0)
        except IndexError:
            return
        job = Job(number, node, cuts)
        began = time.monotonic()
        try:
            job.run()
        except Stopped:
            return
        except Exception as e:  # whatever it is, it is told, and the others end
            words = ""
            if os.path.exists(job.err):
                with open(job.err, errors="replace") as f:
                    words = f.read()[-2000:].rstrip()
            words += "\nthe log:\n" + "".join(line + "\n" for line in log_text().split("\n")[-60:] if f"{node.name}:" in line)
            words += there(node.name, "cat $(find /home -name log -path '*mrc*') | tail -n 60")
            words += root_here("ss", "-tnp")
            failures.append(f"job {number}, {job.kind} {' '.join(job.way)} at {job.delay_ms} ms, after {len(job.made)} cuts: {type(e).__name__} {e}\n{words}")
            stop.set()
            return
        done.append(job)
        print(f"job {number}: {job.kind}{' ' + job.way[0] if job.way else ''}, {node.name}, {job.delay_ms} ms one way, {time.monotonic() - began:.0f} s: "
              f"{' '.join(job.made)}", flush=True)
        for name in job.dir, job.dir + "h":
            shutil.rmtree(name, ignore_errors=True)


def figures(done):
    found = re.findall(r"\bn\d+: the connection is back after ([0-9.]+) s, (\d+) bytes sent again", log_text())
    waits = sorted(float(w) for w, _ in found)
    again = [int(b) for _, b in found]
    there_again = []
    for number in range(1, NODES + 1):
        text = there(f"n{number}", "cat /home/alice/.cache/mrc/log")
        there_again += map(int, re.findall(r"the head is back, (\d+) bytes sent again", text))
    cuts = {}
    for job in done:
        for way in job.made:
            cuts[way] = cuts.get(way, 0) + 1
    print(f"resume: {len(done)} jobs, {sum(cuts.values())} cuts ({', '.join(f'{n} {w}' for w, n in sorted(cuts.items()))}), seed {SEED}")
    if waits:
        print(f"resume: {len(waits)} returns of jobs; waited per cut: median {statistics.median(waits):.2f} s, 90 % within "
              f"{waits[len(waits) * 9 // 10]:.2f} s, at most {waits[-1]:.2f} s")
        print(f"resume: sent again per cut by the head: median {statistics.median(again):.0f} bytes, at most {max(again)}, together {sum(again)}")
    if there_again:
        print(f"resume: sent again per cut by the agents, views' too: median {statistics.median(there_again):.0f} bytes, at most {max(there_again)}, "
              f"together {sum(there_again)}")


def main():
    queue = [(i, CUTS * (i + 1) // JOBS - CUTS * i // JOBS) for i in range(JOBS)]
    shutil.copy(f"{HERE}/work.sh", proj)
    done = []
    threads = [threading.Thread(target=worker, args=(Node(n), queue, done)) for n in range(1, NODES + 1)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    figures(done)
    for text in failures:
        print(f"FAIL: {text}", file=sys.stderr)
    sys.exit(1 if failures or len(done) != JOBS else 0)


main()

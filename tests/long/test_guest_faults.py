"""Every system call of a launch on the guest's side fails once: what a function template and its isolate do to make one,
and what a runtime template and its clone do to make a function template, its parking included.

strace writes down what is called; then each of these calls fails by itself. Whoever asked gets the right reply from an
isolate that is confined as always, or a clear error; the next one is served; and nothing is left.
"""

import concurrent.futures
import pathlib
import re
import shutil
import time

import pytest

import conftest
import watching
from languages import LANGUAGES, create_probe
from tracing import Tracer

ERRORS = {"openat": "EMFILE", "dup3": "EMFILE", "fcntl": "EMFILE", "socket": "EMFILE", "socketpair": "EMFILE", "pipe2": "EMFILE",
          "epoll_create1": "EMFILE", "eventfd2": "EMFILE", "timerfd_create": "EMFILE", "signalfd4": "EMFILE",
          "clone": "EAGAIN", "clone3": "EAGAIN", "sendmsg": "ENOBUFS", "recvmsg": "ENOMEM", "read": "EIO", "pread64": "EIO",
          "write": "EIO", "setns": "EPERM", "unshare": "ENOSPC", "mount": "EPERM", "move_mount": "EPERM", "capset": "EPERM",
          "setsid": "EPERM", "prctl": "EPERM", "landlock_restrict_self": "E2BIG", "seccomp": "EINVAL", "futex": "EINTR",
          "tgkill": "EAGAIN", "nanosleep": "EINTR", "clock_nanosleep": "EINTR", "poll": "EINTR", "ppoll": "EINTR",
          "epoll_wait": "EINTR", "epoll_pwait": "EINTR", "setresuid": "EAGAIN", "setresgid": "EAGAIN"}
# These do not fail, whatever they are given; and close() closes also when it says that it failed.
UNFAILING = {"close", "exit", "exit_group", "rt_sigreturn", "rt_sigprocmask", "arch_prctl",
              "getpid", "gettid", "getuid", "geteuid", "sched_yield", "restart_syscall"}
# An isolate, or a template, that could not do this must not serve. (A clone3() that failed is tried again.)
VITAL = {"move_mount", "mount", "landlock_restrict_self", "landlock_create_ruleset", "landlock_add_rule", "capset", "setresuid",
         "setresgid", "seccomp", "unshare", "setns"}
# Less than the supervisor waits for a template or an isolate that says nothing, more than the function's own limit of 5 s:
# a runtime whose process aborts is not ended by that here, since a traced PID 1 lives through signals.
SLOWEST = 9
PAUSE = 0.08
STATUS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")


@pytest.fixture(scope="module", params=LANGUAGES, ids=[language.name for language in LANGUAGES])
def language(request):
    return request.param


@pytest.fixture(scope="module")
def victim(polyvisor, tmp_path_factory, language):
    if not shutil.which("strace"):
        pytest.fail("strace is not installed", pytrace=False)
    folder = tmp_path_factory.mktemp("guest-faults")
    daemon = conftest.Daemon(folder / "state", "--warm", language.name).start()
    daemon.folder = folder
    yield daemon
    daemon.kill()


def deploy(daemon, language, name):
    return create_probe(daemon, language, daemon.folder, name, Timeout=5, Tags={"polyvisor:isolation": "request"})


def pids(daemon, part):
    return [pid for pid, its, _ in watching.children(daemon) if its == part]


def one(daemon, part):
    """The process that is that part; for a moment there may be none, while another one takes its place."""
    for _ in range(100):
        if found := pids(daemon, part):
            return found[-1]
        time.sleep(0.1)
    raise AssertionError(f"there is no {part}")


def portrait(pid):
    """How a process is confined, as the machine sees it."""
    root = pathlib.Path(f"/proc/{pid}")
    fields = watching.status_of(pid)
    # In a berth /proc does not show the init, which an isolate without one is itself.
    mounts = [re.sub(r"^\d+ \d+ \S+ |(?<=[ug]id=)\d+| (shared|master):\d+|,hidepid=invisible", "", line)
              for line in (root / "mountinfo").read_text().splitlines()]
    limits = [line.split("  ")[0] + line[26:48] for line in (root / "limits").read_text().splitlines()
              if line.startswith(("Max processes", "Max open files", "Max core"))]
    descriptors = {fd.name for fd in (root / "fd").iterdir()} & {"0", "1", "2", "3"}
    return {**{name: fields[name] for name in STATUS}, "mounts": sorted(mounts), "limits": limits, "descriptors": sorted(descriptors),
            "own session": fields["NSsid"].split()[-1] == fields["NSpid"].split()[-1], "own pids": len(fields["NSpid"].split())}


def alike(seen, normal):
    """But for the user and the code, which every deployment has of its own."""
    own = lambda each: {**each, "Uid": 0, "Gid": 0, "mounts": [line for line in each["mounts"] if "/var/task" not in line]}
    return bool(seen) and own(seen) == own(normal)


def assert_served(daemon, name, normal, after):
    """By an isolate that is confined as always. One that was not seen at work, since others use this machine, is asked again."""
    for seconds in (PAUSE, 4 * PAUSE, 16 * PAUSE):
        reply, seen = ask(daemon, name, seconds)
        if seen or outcome(reply) != "served":
            break
    assert outcome(reply) == "served", (after, reply.text)
    assert alike(seen, normal), (after, {key: (normal[key], seen[key]) for key in normal if seen and normal[key] != seen[key]})


def portrait_while(daemon, reply):
    """Of the isolate that serves `reply`, or None when that ends before one was seen at work."""
    while not reply.done():
        for pid in pids(daemon, watching.ISOLATE):
            try:
                seen = portrait(pid)
            except (OSError, TypeError, KeyError):  # it has ended
                continue
            if seen["own session"] and int(seen["CapEff"], 16) == 0:
                return seen
        time.sleep(0.005)
    return None


def ask(daemon, name, seconds=PAUSE):
    """Invokes it with a pause in which it can be looked at. Returns the reply and the portrait."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reply = pool.submit(daemon.invoke, name, {"do": "sleep", "with": {"seconds": seconds}}, timeout=40)
        seen = portrait_while(daemon, reply)
        return reply.result(), seen


def outcome(reply):
    """"served", the type of the error, or None for what may never be."""
    if reply.status_code == 200 and "X-Amz-Function-Error" not in reply.headers:
        return "served" if reply.json() == "slept" else None
    if reply.status_code == 200:
        told = reply.json()
        return told["errorType"] if told["errorType"] and told["errorMessage"] else None
    return f"{reply.status_code}" if reply.status_code in (429, 500, 502, 503) and reply.text else None


def ends_of_runs(entries):
    """Of calls that are made again and again, the first and the last."""
    return [entry for i, entry in enumerate(entries)
            if i in (0, len(entries) - 1) or not entries[i - 1][:2] == entry[:2] == entries[i + 1][:2]]


def plan(calls):
    """(call, how manieth of its thread) for all of `calls`, which are (thread, call, rest); of a run of equal ones the ends."""
    counts, seen = {}, []
    for thread, name, _ in calls:
        counts[thread, name] = counts.get((thread, name), 0) + 1
        seen.append((thread, name, counts[thread, name]))
    return list(dict.fromkeys((name, count) for _, name, count in ends_of_runs(seen) if name not in UNFAILING))


def assert_nothing_left(daemon, before):
    end = time.monotonic() + 20
    while True:
        after = watching.figures(daemon)
        grown = {figure: (before[figure], after[figure]) for figure in ("descriptors", "processes", "mounts", "zombies")
                 if after[figure] > before[figure] + {"descriptors": 8, "processes": 3, "mounts": 60, "zombies": 0}[figure]}
        if not grown:
            return
        assert time.monotonic() < end, grown
        time.sleep(0.5)


class Trial:
    """One call that fails, and what came of it; wrong() says what should not have."""

    def __init__(self, call, count):
        self.call, self.count, self.outcome, self.text, self.hit, self.seconds = call, count, None, "", False, 0

    def run(self, daemon, part, name, normal):
        begun = time.monotonic()
        output = daemon.folder / "trace"
        with Tracer(lambda: one(daemon, part), output, self.call, ERRORS.get(self.call, "ENOMEM"), self.count) as tracer:
            reply, seen = ask(daemon, name)
            self.hit = tracer.hit()
        self.text, self.outcome, self.seconds = reply.text[:200], outcome(reply), time.monotonic() - begun
        self.as_always = self.outcome != "served" or not seen or alike(seen, normal)
        self.seen = seen

    def wrong(self, normal):
        if self.outcome is None:
            return f"{self.call} #{self.count}: {self.text}"
        if not self.as_always:
            difference = {key: (normal[key], (self.seen or {}).get(key)) for key in normal if normal[key] != (self.seen or {}).get(key)}
            return f"{self.call} #{self.count}: served by an isolate that is confined otherwise: {difference}"
        if "without providing a reason" in self.text or "Nothing has failed" in self.text:
            return f"{self.call} #{self.count}: no reason is given: {self.text}"
        # A futex that is not called is often a wake that is lost, which no kernel does: only time tells of it.
        if self.seconds > SLOWEST and self.call != "futex":
            return f"{self.call} #{self.count}: after {self.seconds:.0f} s: {self.text}"
        # What cannot enter a berth is launched once more without one.
        if self.hit and self.call in VITAL and self.outcome == "served" and not (self.call == "setns" and alike(self.seen, normal)):
            return f"{self.call} #{self.count}: served all the same"
        return None


def tell(trials):
    kinds = {}
    for trial in trials:
        if trial.hit:
            kinds.setdefault(trial.outcome, []).append(f"{trial.call} {trial.count}")
    for trial in trials:
        if trial.outcome != "served":
            print(f"  {trial.call} {trial.count}: {trial.text.split('Error: ')[-1][:120]}")
    for kind, calls in kinds.items():
        print(f"\n{kind}: {', '.join(calls)}")
    print(f"{len(trials)} calls, {sum(t.hit for t in trials)} hit, {sum(t.seconds for t in trials):.0f} s, "
          f"the longest {max(t.seconds for t in trials):.1f} s")


def judge(trials, normal):
    tell(trials)
    wrong = [text for text in (trial.wrong(normal) for trial in trials) if text]
    assert wrong == [], "\n".join(wrong)
    # What is called differs a little from one time to the next.
    assert sum(trial.hit for trial in trials) >= 0.8 * len(trials), [(t.call, t.count) for t in trials if not t.hit]


def test_calls_of_a_launch(victim, language):
    name = deploy(victim, language, "launched")
    for _ in range(3):
        reply, normal = ask(victim, name)
        assert outcome(reply) == "served" and normal
    with Tracer(lambda: one(victim, watching.FUNCTION_TEMPLATE), victim.folder / "trace") as tracer:
        assert outcome(ask(victim, name)[0]) == "served"
        calls = tracer.calls()
    before, trials = watching.figures(victim), []
    for call, count in plan(calls):
        trials.append(Trial(call, count))
        trials[-1].run(victim, watching.FUNCTION_TEMPLATE, name, normal)
        assert_served(victim, name, normal, (call, count))
    judge(trials, normal)
    assert_nothing_left(victim, before)
    victim.remove_all()


def chosen(language, entries):
    """All in the first language. The code is the same in the others; there each call fails where it is made first."""
    pairs = list(dict.fromkeys((name, count) for _, name, count in entries if name not in UNFAILING))
    if language is LANGUAGES[0]:
        return pairs
    return list({name: (name, count) for name, count in reversed(pairs)}.values())[::-1]


def first_use(calls, runtime_template):
    """Of all calls, those of the runtime template and of its clone until that says HELLO, and while it parks."""
    clone = next(thread for thread, name, rest in calls if thread != runtime_template and name in ("set_robust_list", "prctl"))
    own = [i for i, (thread, _, _) in enumerate(calls) if thread == clone]
    hello = next(i for i in own if calls[i][1] == "sendmsg" and calls[i][2].startswith("3,"))
    park = max(i for i in own if calls[i][1] == "readlink" and calls[i][2].startswith('"/proc/self",'))
    ready = next(i for i in own if i > park and calls[i][1] == "sendmsg")
    wanted, counts = [], {}
    for i, (thread, name, rest) in enumerate(calls):
        counts[thread, name] = counts.get((thread, name), 0) + 1
        if thread == runtime_template or thread == clone and (i <= hello or park <= i <= ready):
            wanted.append((thread, name, counts[thread, name]))
    return wanted


def test_calls_of_a_first_use(victim, language):
    warm = deploy(victim, language, "warm-one")
    for _ in range(2):
        reply, normal = ask(victim, warm)
        assert outcome(reply) == "served" and normal
    victim.remove_all()
    with Tracer(lambda: one(victim, watching.RUNTIME_TEMPLATE), victim.folder / "trace") as tracer:
        name = deploy(victim, language, "first-use")
        assert outcome(ask(victim, name)[0]) == "served"
        wanted = first_use(tracer.calls(), tracer.pid)
    victim.remove_all()
    before, trials = watching.settled(victim), []
    for call, count in chosen(language, ends_of_runs(wanted)):
        name = deploy(victim, language, "first-use")
        trials.append(Trial(call, count))
        trials[-1].run(victim, watching.RUNTIME_TEMPLATE, name, normal)
        assert_served(victim, name, normal, (call, count))
        victim.remove_all()
    judge(trials, normal)
    assert_nothing_left(victim, before)

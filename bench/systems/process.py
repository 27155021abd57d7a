"""One process per concurrent invocation: what Lambda and OpenWhisk do, and the baseline of replays.

It is polyvisor with `--launch exec`, so that front, scheduler, sandbox and adapters are the same, and
the difference is the cloning alone.
"""

from systems.polyvisor import Polyvisor


class Process(Polyvisor):
    name = "process"
    description = "one process per concurrent invocation, started when there is no idle one (polyvisor serve --launch exec)"
    launch = "exec"

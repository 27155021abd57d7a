"""Files that a function opened while it was loaded: each isolate has them, at an offset of its own, though it opens them
again from within Landlock; also one that never had a name."""

from languages import create

CODE = b"""
import os
NAMED = open('/etc/passwd')
OWN = open('/var/task/app.py')
MEMORY = os.fdopen(os.memfd_create('kept'), 'w+')
FILES = {'named': NAMED, 'own': OWN, 'memory': MEMORY}
MEMORY.write('0123456789' * 10)
MEMORY.flush()
MEMORY.seek(0)

def handler(event, context):
    return {name: os.read(file.fileno(), 10).decode() for name, file in FILES.items()}
"""


def test_each_isolate_has_its_own_offsets(daemon):
    assert create(daemon, "reads", "python", "app.handler", {"app.py": CODE},
                  Tags={"polyvisor:isolation": "request"}).status_code == 201
    told = [daemon.invoke("reads", {}).json() for _ in range(3)]
    assert told[0].get("memory") == "0123456789" and told[0]["named"].startswith("root:"), told
    assert told[0] == told[1] == told[2], told

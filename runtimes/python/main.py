"""The Python adapter: what runs in a runtime template, a function template and an isolate.

To a handler it is AWS Lambda's own Python runtime. See docs/adding-a-language.md for the order of
things, and include/polyvisor.h for what _polyvisor calls.
"""

import gc
gc.disable()  # until the template is made: garbage collection writes to memory that clones share

import array, importlib, json, logging, os, re, sys, time, traceback  # noqa: each costs every launch, see warm()
from types import SimpleNamespace

import _posixsubprocess
import _polyvisor as pv
import snapshot_restore_py as hooks

HERE = __file__
MULTICAST = 1 << 40  # of a node that is no network card's
CLIENT = "installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"
request_id, started = "", set()  # of the current invocation; children that Python code made


class Fault(Exception):
    """An error that is not the handler's own, under Lambda's name for it."""

    def __init__(self, type, message, trace=()):
        super().__init__(message)
        self.type, self.trace = type, list(trace)


class Context:
    """Of an invocation; a warm-up event has none, and gets what a handler can live with."""

    def __init__(self):
        function, invocation = (lambda name: pv.get("function", name)), (lambda name: pv.get("invocation", name))
        identity, client = invocation("identity"), invocation("client_context")
        identity = json.loads(identity) if identity else {}
        self.aws_request_id = invocation("request_id") or "warm-up"
        self.invoked_function_arn = invocation("arn") or function("arn")
        self.tenant_id = invocation("tenant_id")
        self.function_name, self.function_version = function("name"), function("version")
        self.memory_limit_in_mb = function("memory_mb")
        self.log_group_name, self.log_stream_name = function("log_group"), function("log_stream")
        self.identity = SimpleNamespace(cognito_identity_id=identity.get("cognitoIdentityId"),
                                        cognito_identity_pool_id=identity.get("cognitoIdentityPoolId"))
        self.client_context = None
        if client:
            given = {"custom": None, "env": None, "client": None, **json.loads(client)}
            if given["client"]:
                given["client"] = SimpleNamespace(**{name: given["client"].get(name) for name in CLIENT})
            self.client_context = SimpleNamespace(**given)
        self._deadline_ms = int(invocation("deadline_ms") or time.time() * 1000 + 3000)

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))


class LogHandler(logging.Handler):
    """Lambda's lines; with AWS_LAMBDA_LOG_FORMAT=JSON, an object for each."""

    as_json = False

    def emit(self, record):
        record.aws_request_id = request_id
        sys.stdout.write((self.object(record) if self.as_json else self.format(record)) + "\n")

    def object(self, record):
        entry = {"timestamp": self.formatter.formatTime(record, self.formatter.datefmt) + "Z", "level": record.levelname,
                 "message": record.getMessage(), "logger": record.name, "requestId": request_id}
        return json.dumps({**entry, **(error_of(record.exc_info[1]) if record.exc_info else {})}, default=str)


def set_up_logging():
    output, level = LogHandler(), os.environ.get("AWS_LAMBDA_LOG_LEVEL", "NOTSET").upper().replace("TRACE", "DEBUG")
    output.as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    output.setFormatter(logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.Formatter.converter = time.gmtime
    logging.getLogger().addHandler(output)
    if logging.getLevelName(level):
        logging.getLogger().setLevel(level)


def error_of(error):
    """The payload of an error, without the frames of this file."""
    frames, fault = traceback.extract_tb(error.__traceback__), isinstance(error, Fault)
    while frames and frames[0].filename == HERE:
        del frames[0]
    return {"errorMessage": str(error), "errorType": error.type if fault else type(error).__name__,
            "requestId": request_id, "stackTrace": error.trace if fault else traceback.format_list(frames)}


def report(error, what):
    """Prints an error as Lambda does, and sends it as "fail" or "init"."""
    error = error_of(error)
    print(f"[ERROR] {error['errorType']}: {error['errorMessage']}\nTraceback (most recent call last):",
          *error["stackTrace"], sep="\n", flush=True)
    if not pv.send(what, error["errorType"], json.dumps(error).encode()):
        error.update(errorMessage=error["errorMessage"][:1000], stackTrace=[])
        pv.send(what, error["errorType"], json.dumps(error).encode())


def parse(text):
    """json.loads(), which is asked for what is not plain: each object it touches is a page that a new isolate copies."""
    try:
        value, end = scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    return json.loads(text)


class Encoder(json.JSONEncoder):
    """JSON of a reply. A Decimal keeps its digits, which json cannot: its place is filled in afterwards."""

    def default(self, value):
        if type(value).__name__ != "Decimal":
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
        self.mark = self.mark or os.urandom(16).hex()
        self.decimals.append("NaN" if value.is_nan() else str(value))
        return f"{self.mark}{len(self.decimals) - 1}"

    def text(self, value):
        self.mark, self.decimals = None, []
        text = self.encode(value)
        if not self.decimals:
            return text
        return re.sub(f'"{self.mark}(\\d+)"', lambda found: self.decimals[int(found[1])], text)


scan, to_json = json.JSONDecoder().scan_once, Encoder(ensure_ascii=sys.version_info < (3, 12)).text


def reseed():
    """What two clones would otherwise draw alike, where it is loaded; OpenSSL is the library's."""
    loaded = sys.modules.get
    if random := loaded("random"):
        random.seed()
    if uuid := loaded("uuid"):
        uuid._generate_time_safe = uuid._last_timestamp = None  # libuuid keeps a clock sequence of its own
        uuid._node = int.from_bytes(os.urandom(6), "big") | MULTICAST
    if tempfile := loaded("tempfile"):
        tempfile._name_sequence = None
    if process := loaded("multiprocessing.process"):
        process.current_process().authkey = os.urandom(32)
    if numpy_random := loaded("numpy.random"):
        numpy_random.seed()


def remember_children():
    """So that only orphans are reaped, never a child whose status somebody may still ask for."""
    def remembering(start):
        def start_and_remember(*args, **kwargs):
            result = start(*args, **kwargs)
            started.add(result[0] if isinstance(result, tuple) else result)
            return result
        return start_and_remember
    for module, names in (os, ("fork", "forkpty", "posix_spawn", "posix_spawnp")), (_posixsubprocess, ("fork_exec",)):
        for name in names:
            setattr(module, name, remembering(getattr(module, name)))


def reap():
    for pid in list(started):
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody has asked
            started.discard(pid)
    pv.reap(array.array("i", started).tobytes())


def take_environment():
    os.environ.clear()
    index = 0
    while pair := pv.get("environment", str(index)):
        os.environ.update([pair.split("=", 1)])
        index += 1
    time.tzset()
    sys.path[0:1] = [pv.get("function", "task_root"),
                     *filter(os.path.isdir, os.environ.get("PYTHONPATH", "").split(":") + ["/opt/python"])]


def load_handler(name):
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': it is not of the form module.function")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}")
    except SyntaxError as error:
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}",
                    [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'])
    if not hasattr(module, attribute):
        raise Fault("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'")
    return getattr(module, attribute)


def reply_of(handler, event):
    try:
        event = parse(event.decode())
    except ValueError as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}")
    reply = handler(event, Context())
    if isinstance(reply, bytes):
        return "application/unknown", reply
    try:
        return None, to_json(reply).encode()
    except Exception as error:
        raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}")


def respond(handler, event):
    global request_id
    request_id, trace = pv.get("invocation", "request_id"), pv.get("invocation", "trace_id")
    if trace:
        os.environ["_X_AMZN_TRACE_ID"] = trace
    try:
        reply = reply_of(handler, event)
        sys.stdout.flush()
        if not pv.send("reply", *reply):
            raise Fault("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload "
                        f"size ({pv.get('function', 'reply-bytes') or 6291456} bytes): it has {len(reply[1])}.")
    except Exception as error:
        report(error, "fail")


def warm():
    """Imports what the manifest asks for, and runs once what every invocation runs, for clones to find it made."""
    for name in filter(None, os.environ.get("POLYVISOR_IMPORT", "").split(",")):
        importlib.import_module(name)
    try:
        json.loads('{"a": [1, 2.5, "b", null, true]}')
        raise Fault("warm", to_json({"a": [1, 2.5, "\u00e9"]}))
    except Fault as error:
        error_of(error)
    rehearse()


def rehearse():
    """Events through a handler that does nothing, until CPython has adapted the code they run, and some more."""
    for rounds in 16, 8:
        for _ in range(rounds):
            reply_of(lambda event, context: {"statusCode": 200}, b'{"a": [1]}')
            sys.stdout.flush()
            reap()
        pv.rehearse(rounds == 16)


def load():
    """In the function template: the handler, loaded and warmed up."""
    take_environment()
    set_up_logging()
    handler, index = load_handler(pv.get("function", "handler")), 0
    while (event := pv.event(index)) is not None:
        index += 1
        try:
            handler(json.loads(event), Context())
        except Exception as error:
            pv.send("note", None, f"The warm-up event {index} failed: {error!r}".encode())
    return handler


def run(registered):
    for func, args, kwargs in registered:
        func(*args, **kwargs)


def park():
    """Of a template; returns in its clones, True, or by exec, False. None is a template that must exit."""
    sys.stdout.flush()
    gc.freeze()  # the collector then leaves shared memory alone
    clone = pv.template()
    if clone:
        reseed()
    return clone


def main():
    pv.open(sys.version.split()[0])
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    remember_children()
    warm()
    clone = park()
    if clone is None:
        return
    gc.enable()
    try:
        handler = load()
        run(hooks.before if clone else ())
    except Exception as error:
        return report(error, "init")
    gc.collect()
    if park() is None:
        return
    failure = None
    try:
        run(hooks.after if clone else ())
    except Exception as error:
        failure = error
    while (event := pv.event()) is not None:
        if failure:
            return report(failure, "fail")
        respond(handler, event)
        del event
        reap()


del __file__  # a process that multiprocessing spawns must not look for this program
code = 1
try:
    main()
    code = 0
except SystemExit as leaving:
    code = leaving.code or 0
    if not isinstance(code, int):
        code = print(code, file=sys.stderr) or 1
except BaseException:
    traceback.print_exc()
finally:
    sys.stdout.flush()
    os._exit(code & 255)  # at once: threads of the handler may never end

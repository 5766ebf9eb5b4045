"""Starting the program under test, under limits and without descriptors, and what is to be seen of it afterwards."""

import dataclasses
import os
import pathlib
import re
import resource
import shlex
import subprocess

SANITIZER = re.compile(r"ERROR: \w*Sanitizer|WARNING: \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer")
# An address space for every run: a length that is believed must not take the machine's memory.
ADDRESS_SPACE = 8 << 30


@dataclasses.dataclass
class Done:
    """A run that has ended."""

    line: str  # to be pasted into a shell
    status: int  # negative: the signal that ended it
    out: bytes
    err: bytes
    hung: bool = False

    @property
    def text(self):
        return (self.out + self.err).decode("utf-8", "replace")


@dataclasses.dataclass
class Setting:
    """What the program finds when it starts."""

    limits: dict = dataclasses.field(default_factory=dict)  # {resource.RLIMIT_...: soft limit}
    closed: tuple = ()  # descriptors
    full: tuple = ()  # descriptors that lead to /dev/full
    env: dict = dataclasses.field(default_factory=dict)

    def words(self):
        names = {getattr(resource, name): name for name in dir(resource) if name.startswith("RLIMIT_")}
        words = [f"{names[number]}={value}" for number, value in self.limits.items()]
        words += [f"{key}={shlex.quote(value)}" for key, value in self.env.items()]
        words += [f"{number}>&-" for number in self.closed] + [f"{number}>/dev/full" for number in self.full]
        return " ".join(words)


class Program:
    def __init__(self, path, timeout):
        self.path = str(pathlib.Path(path).resolve())
        self.timeout = timeout
        # Sanitizers keep shadow memory in far more address space than there is.
        self.sanitized = b"__asan_init" in pathlib.Path(self.path).read_bytes() or b"__tsan_init" in pathlib.Path(self.path).read_bytes()
        self.runs = 0

    def start(self, arguments, cwd, setting=None, stdout=None, stderr=None):
        setting = setting or Setting()

        def prepare():
            for number, value in setting.limits.items():
                # At the hard limit of processor time the kernel kills, and no program can do anything about it.
                resource.setrlimit(number, (value, value + 60 if number == resource.RLIMIT_CPU else value))
            if not self.sanitized and resource.RLIMIT_AS not in setting.limits:
                resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            for number in setting.full:
                os.dup2(os.open("/dev/full", os.O_WRONLY), number)
            for number in setting.closed:
                os.close(number)

        self.runs += 1
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0", "UBSAN_OPTIONS": "print_stacktrace=1", **setting.env}
        return subprocess.Popen(
            [self.path, *map(str, arguments)], cwd=cwd, preexec_fn=prepare, env=environment,
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        )  # fmt: skip

    def run(self, arguments, cwd, setting=None):
        """Runs to the end. What it prints goes through files: a pipe that nobody empties would hold it up."""
        setting = setting or Setting()
        line = (setting.words() + " " + shlex.join([self.path, *map(str, arguments)])).strip()
        printed = [pathlib.Path(cwd) / name for name in (".stdout", ".stderr")]
        hung = False
        with open(printed[0], "wb") as out, open(printed[1], "wb") as err:
            process = self.start(arguments, cwd, setting, out, err)
            try:
                process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                hung = True
                process.kill()
                process.wait()
        return Done(line, process.returncode, printed[0].read_bytes(), printed[1].read_bytes(), hung)

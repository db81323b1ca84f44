"""Child processes that write to a log each, end with us, and are killed by their recorded pid only."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import time


class Died(AssertionError):
    """A process ended that should be running; carries the end of its log."""


# Generous, because only a failure waits so long: the machine may be busy.
PATIENCE = 90.0


def wait_for(what, check, timeout=PATIENCE, interval=0.05):
    """Calls `check` until it returns something true and returns that. An exception counts as not yet; the last one is
    told when time is over."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            result = check()
            if result:
                return result
        except Died:
            raise
        except Exception as error:  # pylint: disable=broad-except
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:.0f} s" + (f" (last: {last!r})" if last else ""))
        time.sleep(interval)


_told = set()


def free_ports(count):
    """Ports that nobody listens on, each told once. They are below those that the kernel gives to outgoing connections: one
    of these could take a port before its program listens, or while that is started again."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = random.sample(range(10000, lowest), lowest - 10000) if lowest > 12000 else [0] * 100
    ports = []
    for candidate in candidates:
        with socket.socket() as one:
            try:
                one.bind(("", candidate))
            except OSError:
                continue
            port = one.getsockname()[1]
        if port not in _told:
            _told.add(port)
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError(f"there are no {count} free ports")


class Process:
    """One program. Restart keeps the command, so ports and files stay the same."""

    def __init__(self, name, command, folder, env=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = pathlib.Path(folder) / f"{name}.log"
        self.env = {**os.environ, **(env or {})}
        self.child = None

    def start(self):
        assert self.child is None, f"{self.name} is running"
        with self.log.open("ab") as log:
            # A group of its own: Ctrl-C reaches the tests alone, and these stop in order.
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                                          start_new_session=True)
        (self.log.parent / f"{self.name}.pid").write_text(str(self.child.pid))
        return self

    def running(self):
        return self.child is not None and self.child.poll() is None

    def check(self):
        """Raises Died if the process has ended."""
        if not self.running():
            code = None if self.child is None else self.child.returncode
            raise Died(f"{self.name} is not running (exit status {code}); the end of {self.log}:\n{self.tail()}")

    def cpu_seconds(self):
        """What it has used so far; unlike the clock, other work on the machine does not count."""
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def tail(self, lines=25):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self):
        """SIGKILL: a crash."""
        self._end(signal.SIGKILL)

    def stop(self, grace=10):
        """SIGTERM, and SIGKILL after `grace` seconds. Returns the exit status."""
        return self._end(signal.SIGTERM, grace)

    def _end(self, how, grace=10):
        if self.child is None:
            return None
        if self.child.poll() is None:
            self.child.send_signal(how)
            try:
                self.child.wait(grace)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        code = self.child.returncode
        self.child = None
        return code

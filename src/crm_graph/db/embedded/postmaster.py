"""The server process of a cluster: whether it lives, whether it answers, launching it, ending it.

All of this runs under the data directory's exclusive lock, in whichever process happens to be first or last, so nothing
here remembers a process handle: the state is what the file system and the process table say.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from crm_graph.db.embedded.cluster import DATABASE, PORT, USER, Cluster, free_space, last_lines, own_name
from crm_graph.db.embedded.lock import open_or_create
from crm_graph.db.embedded.wire import answers
from crm_graph.kernel.errors import OperatorError

Log = Callable[[str], None]

START_TIMEOUT_S = 120.0  # crash recovery replays up to `max_wal_size`; slow disks need the minute
DRAIN_TIMEOUT_S = 30.0
FAST_STOP_TIMEOUT_S = 20.0
IMMEDIATE_STOP_TIMEOUT_S = 10.0
_LOG_MAX_BYTES = 4 * 2**20
_POLL_S = 0.01
_POLL_MAX_S = 0.25
_RETRY_S = 0.2
# Postgres refuses to start while processes of a killed predecessor still use its shared memory or hold its lock file.
_NOT_YET = re.compile(r"pre-existing shared memory block|lock file .* already exists")


@dataclass(frozen=True, slots=True)
class Postmaster:
    cluster: Cluster
    shared_buffers_mb: int

    def pid(self) -> int | None:
        """Return the pid of this cluster's live postmaster, None if there is none."""
        return self._live(self.cluster.path / "postmaster.pid")

    def answers(self) -> bool:
        return answers(self.cluster.socket, USER, DATABASE)

    def ensure_running(self, log: Log) -> None:
        """Adopt the live postmaster or launch one; return when it answers. Raises OperatorError if it will not."""
        now = time.monotonic()
        answer_deadline, drain_deadline = now + START_TIMEOUT_S, now + DRAIN_TIMEOUT_S
        while True:
            process, log_start = None, 0
            if self.pid() is None:
                self._clear_traces_of_the_dead()
                process, log_start = self._launch()
            if self._await_answer(process, answer_deadline):
                return
            if process is None:
                continue  # it was on its way down when we found it
            said = self._said_since(log_start)
            if time.monotonic() > drain_deadline or not _NOT_YET.search(said):
                raise OperatorError(
                    f"Postgres did not start (exit code {process.returncode}); it said:\n{last_lines(said)}",
                    f"correct what it says (all of it is in {self.cluster.log}); {free_space(self.cluster.data)}",
                )
            log("waiting for the processes of a killed Postgres to end")
            time.sleep(_RETRY_S)

    def stop(self) -> None:
        """End the postmaster, if there is one: a fast shutdown first, then one that the next start recovers from."""
        pid = self.pid()
        if pid is not None:
            self._end(pid)
        with suppress(OSError):  # not empty after a crash, and then the next start needs what is in it
            self.cluster.sockets.rmdir()

    def _launch(self) -> tuple[subprocess.Popen[bytes], int]:
        """Start the server; return its process and where in the log its output begins."""
        cluster, log = self.cluster, self.cluster.log
        if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
            log.rename(log.with_suffix(".log.1"))
        name = own_name(cluster.path, cluster.account)
        command: list[str | Path] = [cluster.binaries.postgres, "-D", name, *self._settings()]
        with open(open_or_create(log, os.O_WRONLY | os.O_APPEND), "ab") as output:
            start = output.tell()
            return cluster.account.launch(command, cwd=cluster.path, output=output), start

    def _settings(self) -> list[str]:
        """Settings on the command line: nothing in the cluster, no ALTER SYSTEM and no hand can change them."""
        settings = {
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": self.cluster.sockets,
            "unix_socket_permissions": "0700",
            "max_connections": 100,
            "shared_buffers": f"{self.shared_buffers_mb}MB",
            "max_wal_size": "1GB",
            "wal_level": "replica",
            "fsync": "on",
            "full_page_writes": "on",
            "jit": "off",  # compiling costs more than it saves on queries of milliseconds
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_destination": "stderr",
            "logging_collector": "off",
            "log_checkpoints": "off",  # a healthy server then logs ten lines per start; the log is cut at starts only
        }
        return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

    def _await_answer(self, process: subprocess.Popen[bytes] | None, deadline: float) -> bool:
        """Wait for an answer; False if the process (None: the one that was there before) ends without giving one."""
        began = time.monotonic()
        try:
            while not self.answers():
                if process.poll() is not None if process else self.pid() is None:
                    return False
                if time.monotonic() > deadline:
                    raise OperatorError(
                        f"Postgres (pid {self.pid()}) runs but does not answer at {self.cluster.socket}",
                        f"see {self.cluster.log}; end it with `kill -INT {self.pid()}` and start again",
                    )
                # Every try is a line in the log while Postgres recovers: ask a long recovery less often.
                time.sleep(min(_POLL_S + (time.monotonic() - began) / 10, _POLL_MAX_S))
        except BaseException:
            if process and process.poll() is None:
                process.send_signal(signal.SIGINT)
            raise
        if process:
            # From here on it belongs to the data directory. Told that it has ended, Popen leaves it alone.
            process.returncode = 0
        return True

    def _clear_traces_of_the_dead(self) -> None:
        """Remove what makes Postgres believe that it is running: it refuses to start if a recycled pid is alive.

        Cannot endanger a server that still has processes: Postgres also checks for its shared memory. A live server at
        our socket without a pid file in the cluster is one whose data directory was deleted under it: it is ended.
        """
        socket_lock = self.cluster.socket.with_name(self.cluster.socket.name + ".lock")
        orphan = self._live(socket_lock)
        if orphan is not None:
            self._end(orphan)
        for trace in (self.cluster.path / "postmaster.pid", socket_lock, self.cluster.socket):
            trace.unlink(missing_ok=True)

    def _live(self, pid_file: Path) -> int | None:
        """Return the pid in the file if that process is a postmaster of this cluster now."""
        try:
            pid = int(pid_file.read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if self._is_ours(pid) else None

    def _is_ours(self, pid: int) -> bool:
        """A postmaster's arguments stay as we gave them; its children rewrite theirs, and those of a zombie are gone.

        The working directory also tells a server that somebody started by hand, but the arguments are what everybody
        can read: in a container without CAP_SYS_PTRACE not even root sees the working directory of another user.
        """
        program, *arguments = _command_line(pid) or [""]
        if Path(program).name != "postgres":
            return False
        if f"unix_socket_directories={self.cluster.sockets}" in arguments:
            return True
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", self.cluster.path)
        except OSError:
            return False

    def _end(self, pid: int) -> None:
        for request, timeout_s in ((signal.SIGINT, FAST_STOP_TIMEOUT_S), (signal.SIGQUIT, IMMEDIATE_STOP_TIMEOUT_S)):
            try:
                os.kill(pid, request)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + timeout_s
            while time.monotonic() < deadline:
                if not self._is_ours(pid):
                    _reap(pid)
                    return
                time.sleep(_POLL_S)
        raise OperatorError(
            f"Postgres (pid {pid}) did not stop within {FAST_STOP_TIMEOUT_S + IMMEDIATE_STOP_TIMEOUT_S:.0f} s",
            f"see {self.cluster.log}; end it with `kill -9 {pid}`, the next start recovers",
        )

    def _said_since(self, offset: int) -> str:
        with open(self.cluster.log, "rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")


def _command_line(pid: int) -> list[str]:
    """Return the arguments of a process, empty if it has none (any more)."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
        except OSError:
            return []
    # macOS. Arguments are split at spaces, which the socket directory never contains.
    ps = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(ps, check=False, capture_output=True, text=True, timeout=10).stdout.split()  # noqa: S603


def _reap(pid: int) -> None:
    """Collect the exit of an ended postmaster if this process launched it, so that no zombie stays behind."""
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)

#!/usr/bin/env python3
"""A small service for tests, run inside a container: it does as it is told when a signal comes.

It needs the standard library only, and PyMySQL with --database. Each thing that happens is one
line, "<event> <words>", on stdout and in the file --record: ready, signal NAME, child-signal NAME,
done OPERATION, gave-up, exit CODE.

    workload.py --drain 5                      exits 0, 5 s after the first stop signal
    workload.py --end /record/end              exits 0 after that signal, once the file is there
    workload.py --drain 90 --give-up 60        gives up with code 142, as oslo.service on eventlet does
    workload.py --database … --operation volume_create:20
                                               keeps rows as Cinder does, and drains until they are done

A second stop signal ends it at once with code 143, as it does oslo.service on eventlet.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import threading
import time
import uuid

STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR2")
OTHER_SIGNALS = ("SIGHUP", "SIGUSR1", "SIGWINCH")
NOW = "UTC_TIMESTAMP()"


class Recorder:
    """Writes one line an event, whole, to stdout and to a file."""

    def __init__(self, path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.fds = [1, *([os.open(path, flags, 0o644)] if path else [])]

    def __call__(self, event, *words):
        line = " ".join([event, *map(str, words)]) + "\n"
        for fd in self.fds:
            os.write(fd, line.encode())


# --- rows as Cinder keeps them

# kind: (table, status while it works, status afterwards, resource_type of its worker row or None)
KINDS = {
    "volume_create": ("volumes", "creating", "available", "Volume"),
    "volume_delete": ("volumes", "deleting", "deleted", "Volume"),
    "volume_extend": ("volumes", "extending", "available", None),
    "snapshot_create": ("snapshots", "creating", "available", "Snapshot"),
    "snapshot_delete": ("snapshots", "deleting", "deleted", None),
    "backup_create": ("backups", "creating", "available", None),
    "backup_restore": ("backups", "restoring", "available", None),
    "backup_delete": ("backups", "deleting", "deleted", None),
}


class Database:
    """Runs a statement until the server takes it: a server that is away is waited for."""

    def __init__(self, settings):
        self.settings = settings
        self.connection = None
        self.lock = threading.Lock()

    def __call__(self, statement, *parameters):
        with self.lock:
            while True:
                try:
                    return self._once(statement, parameters)
                except OSError:
                    self._forget()
                    time.sleep(0.2)
                except Exception as error:
                    if type(error).__name__ not in ("OperationalError", "InterfaceError"):
                        raise
                    self._forget()
                    time.sleep(0.2)

    def _once(self, statement, parameters):
        import pymysql

        if self.connection is None:
            self.connection = pymysql.connect(
                autocommit=True, connect_timeout=2, read_timeout=5, charset="utf8", **self.settings
            )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.lastrowid or next(iter(cursor.fetchone() or ()), None)

    def _forget(self):
        if self.connection is not None:
            self.connection._force_close()
        self.connection = None


class Service:
    """One row of ``services``, which a later process takes over, and the operations under it."""

    def __init__(self, run, binary, host, cluster):
        self.run, self.binary, self.host, self.cluster = run, binary, host, cluster
        self.row = run(
            "SELECT id FROM services WHERE deleted = 0 AND host = %s AND `binary` = %s", host, binary
        ) or run(
            "INSERT INTO services (created_at, updated_at, deleted, host, `binary`, topic, report_count,"
            " disabled, availability_zone, uuid, cluster_name)"
            f" VALUES ({NOW}, {NOW}, 0, %s, %s, %s, 1, 0, 'nova', %s, %s)",
            host, binary, binary, str(uuid.uuid4()), cluster,
        )  # fmt: skip

    def beat(self):
        self.run(
            f"UPDATE services SET updated_at = {NOW}, report_count = report_count + 1 WHERE id = %s", self.row
        )


class Operation:
    """A piece of work of so many seconds, with its rows."""

    def __init__(self, service, kind, seconds, ending):
        self.service, self.kind, self.run = service, kind, service.run
        self.table, self.status, after, self.worker = KINDS[kind]
        self.after = ending or after
        self.id = str(uuid.uuid4())
        self.seconds = seconds
        self._insert()

    def _insert(self):
        host = self.service.host
        if self.table == "volumes":
            self._volume(self.id, host + "#pool", self.status)
        elif self.table == "snapshots":
            volume = str(uuid.uuid4())
            self._volume(volume, host + "#pool", "available")
            self.run(
                "INSERT INTO snapshots (created_at, updated_at, deleted, id, volume_id, status, volume_size,"
                f" volume_type_id, use_quota) VALUES ({NOW}, {NOW}, 0, %s, %s, %s, 1, %s, 1)",
                self.id, volume, self.status, str(uuid.uuid4()),
            )  # fmt: skip
        else:
            self.run(
                "INSERT INTO backups (created_at, updated_at, deleted, id, volume_id, host, status, size)"
                f" VALUES ({NOW}, {NOW}, 0, %s, %s, %s, %s, 1)",
                self.id, str(uuid.uuid4()), host, self.status,
            )  # fmt: skip
        if self.worker:
            self.run(
                "INSERT INTO workers (created_at, updated_at, deleted, resource_type, resource_id, status,"
                f" service_id, race_preventer) VALUES ({NOW}, UTC_TIMESTAMP(6), 0, %s, %s, %s, %s, 0)",
                self.worker, self.id, self.status, self.service.row,
            )  # fmt: skip

    def _volume(self, volume, host, status):
        self.run(
            "INSERT INTO volumes (created_at, updated_at, deleted, id, host, cluster_name, size, status,"
            " attach_status, volume_type_id, use_quota)"
            f" VALUES ({NOW}, {NOW}, 0, %s, %s, %s, 1, %s, 'detached', %s, 1)",
            volume, host, self.service.cluster and self.service.cluster + "#pool", status, str(uuid.uuid4()),
        )  # fmt: skip

    def touch(self):
        if self.worker:
            self.run("UPDATE workers SET updated_at = UTC_TIMESTAMP(6) WHERE resource_id = %s", self.id)

    def finish(self):
        deleted = f", deleted = 1, deleted_at = {NOW}" if self.after == "deleted" else ""
        statement = f"UPDATE {self.table} SET status = %s, updated_at = {NOW}{deleted} WHERE id = %s"
        self.run(statement, self.after, self.id)
        if self.worker:
            self.run("DELETE FROM workers WHERE resource_id = %s", self.id)


class Cinder:
    """Its service, its operations, and its two kinds of heartbeat."""

    def __init__(self, options, record):
        self.options, self.record = options, record
        run = Database(json.loads(options.database))
        self.service = Service(run, options.binary, options.host, options.cluster)
        self.operations = []
        for text in options.operation:
            kind, seconds, ending = [*text.split(":"), ""][:3]
            self.operations.append(Operation(self.service, kind, float(seconds), ending))
        self.next_beat = time.monotonic() + options.report_interval  # cinder/service.py: initial_delay
        self.next_touch = 0.0
        self.began = None

    def work(self, now, stopping):
        """Do what is due."""
        if self.began is None and (not self.options.go or os.path.exists(self.options.go)):
            self.began = now
        if now >= self.next_beat and not (stopping and self.options.heartbeat_stops):
            # On time, as oslo.service's looping calls are: a late heartbeat does not delay those after it.
            self.next_beat = max(self.next_beat + self.options.report_interval, now)
            self.service.beat()
        self._touch(now, stopping)
        if self.stalled(now):
            return
        for operation in [one for one in self.operations if self.worked(now) >= one.seconds]:
            operation.finish()
            self.operations.remove(operation)
            self.record("done", operation.kind, operation.id)

    def worked(self, now):
        """Seconds that it has worked on its operations."""
        return -1.0 if self.began is None else now - self.began

    def busy(self, now):
        return bool(self.operations) and not self.stalled(now)

    def stalled(self, now):
        """Whether its operations are dead: nobody works on them any more, and their rows stay."""
        return self.options.stall is not None and self.worked(now) >= self.options.stall

    def _touch(self, now, stopping):
        interval = self.options.worker_heartbeat
        if interval is None or now < self.next_touch or (stopping and self.options.worker_heartbeat_stops):
            return
        if self.stalled(now):
            return
        self.next_touch = now + interval
        for operation in self.operations:
            operation.touch()


# --- the process


class Workload:
    """Waits for the first stop signal, then drains."""

    def __init__(self, options):
        self.options = options
        self.record = Recorder(options.record)
        # A pipe that every signal writes to: a lock of a threading.Event could be held by whom the handler interrupts.
        self.wakes, write_end = os.pipe()
        for end in (self.wakes, write_end):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        self.stopped_at = None
        self.cinder = None
        self.ballast = []

    def on_stop(self, number, _frame):
        self.record("signal", signal.Signals(number).name)
        if self.stopped_at is not None:
            self.leave(143)
        self.stopped_at = time.monotonic()

    def on_other(self, number, _frame):
        self.record("signal", signal.Signals(number).name)

    def install(self):
        # Where it stands for a service of OpenStack, which would report at SIGUSR2, it does not handle that.
        defaults = [*self.options.default, *(["SIGUSR2"] if self.options.database else [])]
        handled = [name for name in STOP_SIGNALS if name not in defaults]
        for name in OTHER_SIGNALS:
            signal.signal(getattr(signal, name), self.on_other)
        for name in handled + self.options.stop_on:
            signal.signal(getattr(signal, name), self.on_stop)
        for name in self.options.ignore:
            signal.signal(getattr(signal, name), signal.SIG_IGN)

    def main(self):
        self.install()
        for depth in range(self.options.children):
            self.fork_child(depth)
        if self.options.database:
            self.cinder = Cinder(self.options, self.record)
        self.record("ready")
        started = time.monotonic()
        while True:
            now = time.monotonic()
            if self.cinder:
                self.cinder.work(now, self.stopped_at is not None)
            self.maybe_leave(now, started)
            if select.select([self.wakes], [], [], 0.05 if self.cinder or self.stopped_at else 0.5)[0]:
                os.read(self.wakes, 512)

    def maybe_leave(self, now, started):
        if self.options.exit_after is not None and now - started >= self.options.exit_after:
            self.leave(self.options.exit_code)
        if self.stopped_at is None:
            return
        if self.options.oom:
            self.ballast.append(bytearray(16 << 20))
        drained = now - self.stopped_at
        if self.options.give_up is not None and drained >= self.options.give_up:
            self.record("gave-up")
            self.leave(self.options.give_up_code)
        busy = self.cinder is not None and self.cinder.busy(now) and not self.options.drop_work
        told = self.options.end is None or os.path.exists(self.options.end)
        if drained >= self.options.drain and told and not busy:
            self.leave(self.options.exit_code)

    def leave(self, code):
        self.record("exit", code)
        os._exit(code)

    def fork_child(self, depth):
        """A child with a child of its own; both stay until they are killed."""
        if os.fork():
            return

        def on_signal(number, _frame):
            self.record("child-signal", signal.Signals(number).name)

        for name in STOP_SIGNALS:
            signal.signal(getattr(signal, name), on_signal)
        os.fork()
        self.record("child", depth)
        while True:
            signal.pause()


def parse(arguments):
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("--record", help="a file that gets every event line")
    add("--drain", type=float, default=0.0, help="seconds from the stop signal to the exit, at least")
    add("--end", help="a file: the drain lasts until it is there")
    add("--exit-code", type=int, default=0)
    add("--exit-after", type=float, help="exit by itself, so many seconds after ready")
    add("--give-up", type=float, help="seconds after the stop signal at which it gives up, work or not")
    add("--give-up-code", type=int, default=142)
    add("--ignore", action="append", default=[], help="a signal to be ignored")
    add("--stop-on", action="append", default=[], help="another signal to be taken for a stop signal")
    add("--default", action="append", default=[], help="a stop signal to be left without a handler")
    add("--children", type=int, default=0, help="children to fork, each with a child of its own")
    add("--database", help="JSON: what pymysql.connect takes")
    add("--binary", default="cinder-volume")
    add("--host", default="host@backend", help="services.host")
    add("--cluster", help="services.cluster_name; without it the service is in none")
    add("--operation", action="append", default=[], help="KIND:SECONDS[:STATUS AT ITS END]")
    add("--go", help="a file: the work on the operations begins when it is there, instead of at once")
    add("--report-interval", type=float, default=1.0)
    add("--heartbeat-stops", action="store_true", help="no service heartbeat after the stop signal (Cinder)")
    add("--worker-heartbeat", type=float, help="seconds between touches of the worker rows")
    add("--worker-heartbeat-stops", action="store_true", help="no such touch after the stop signal")
    add("--stall", type=float, help="seconds after which its operations die and their rows stay")
    add("--oom", action="store_true", help="eat memory from the stop signal on")
    add("--drop-work", action="store_true", help="exit with work in flight (Cinder on native threads)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    Workload(parse(sys.argv[1:])).main()

"""A service's own configuration files, read with oslo.config as the service reads them.

Only what a drain needs is read: where the service's rows are, and its time-outs. No value is ever printed, not even
in an error message, because any value may be a secret.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError


@dataclass(frozen=True)
class Backend:
    """One of cinder-volume's enabled backends."""

    name: str  # of its section
    host: str  # backend_host of its section, else [DEFAULT]/host

    @property
    def service_host(self) -> str:
        """``services.host`` of the backend's row, as cinder/cmd/volume.py composes it."""
        return f"{self.host}@{self.name}"


@dataclass(frozen=True)
class ServiceConfig:
    """What a drain needs of a service's configuration. Times are in seconds."""

    service: str  # the binary: cinder-volume
    host: str  # [DEFAULT]/host, by default the host's name
    files: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()  # cinder-volume only
    # [database]/connection, which nova-compute does not have. slave_connection is never used because a replica lags
    # and would miss an operation that began a moment ago.
    database: str | None = field(default=None, repr=False)
    service_down_time: int = 60
    report_interval: int = 10
    graceful_shutdown_timeout: int = 60  # 0 means no limit
    manager_shutdown_timeout: int | None = None  # Nova only
    stated: frozenset[str] = frozenset()  # which of these time-outs the files set

    @property
    def service_hosts(self) -> tuple[str, ...]:
        """This container's values of ``services.host``; empty if its backends are unknown."""
        if self.service == "cinder-volume":
            return tuple(backend.service_host for backend in self.backends)
        return (self.host,)


_TIMES = ("service_down_time", "report_interval", "graceful_shutdown_timeout", "manager_shutdown_timeout")


def load(paths: Sequence[str], service: str, hostname: str | None = None) -> ServiceConfig:
    """Read a service's configuration files. If an option is set twice the later file wins.

    ``hostname``, by default this host's name, replaces a missing [DEFAULT]/host. Raises ConfigError, which names the
    file and the option but never the value.
    """
    files = tuple(str(path) for path in paths)
    reader = _Reader(service, files, hostname or socket.gethostname())
    host = reader.text("host")
    if not host:
        raise reader.bad("host", "is empty")
    down_time, report_interval = reader.number("service_down_time"), reader.number("report_interval")
    if report_interval and down_time <= report_interval:
        down_time = int(report_interval * 2.5)  # as the service corrects it
    return ServiceConfig(
        service=service,
        host=host,
        files=files,
        backends=reader.backends(host) if service == "cinder-volume" else (),
        database=reader.text("connection", "database") or None,
        service_down_time=down_time,
        report_interval=report_interval,
        graceful_shutdown_timeout=reader.number("graceful_shutdown_timeout"),
        manager_shutdown_timeout=(
            reader.number("manager_shutdown_timeout") if service.startswith("nova-") else None
        ),
        stated=frozenset(name for name in _TIMES if reader.stated(name)),
    )


def _oslo_config(service: str) -> Any:
    try:
        from oslo_config import cfg
    except ImportError:
        raise ConfigError(
            f"oslo.config is missing in {sys.executable}, so {service}'s configuration cannot be read: install it "
            f"there with '{sys.executable} -m pip install oslo.config' or the package python3-oslo.config",
            code="driver_missing",
        ) from None
    return cfg


def _must_be_readable(path: str, service: str) -> None:
    try:
        Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(
            f"{service}'s configuration file {path} is not UTF-8 text: correct the file"
        ) from None
    except OSError as exc:
        why = exc.strerror or type(exc).__name__
        raise ConfigError(
            f"{service}'s configuration file {path} cannot be read: {why}; "
            "name the right files in service_config, or run with the right to read them",
            code="config_missing",
        ) from None


class _Reader:
    """Reads single values. Its errors name the file and the option but never the value."""

    def __init__(self, service: str, files: tuple[str, ...], hostname: str) -> None:
        self._cfg = cfg = _oslo_config(service)
        if not files:
            raise ConfigError(
                f"no configuration file is known for {service}: name its files in service_config"
            )
        for path in files:
            _must_be_readable(path, service)
        self._named = " and ".join(filter(None, (", ".join(files[:-1]), files[-1])))
        self._conf = conf = cfg.ConfigOpts()
        conf.register_opts(_options(cfg, service, hostname))
        conf.register_opts([cfg.StrOpt("connection", secret=True)], group="database")
        try:
            # The environment is this process's and not the container's, so it is ignored.
            conf([], default_config_files=list(files), default_config_dirs=[], use_env=False)
        except cfg.ConfigFileParseError as exc:
            # The parser's message is not used because it quotes the line, maybe with a secret.
            line = re.search(r":(\d+), ", str(exc.msg))
            where = f"{exc.config_file}, line {line[1]}" if line else str(exc.config_file)
            raise ConfigError(
                f"{service}'s configuration file {where} is not valid: correct the line there"
            ) from None
        except cfg.Error as exc:
            raise ConfigError(
                f"{service}'s configuration {self._named} cannot be read ({type(exc).__name__})"
            ) from None

    def _get(self, option: str, group: str = "DEFAULT") -> Any:
        try:
            return self._conf[option] if group == "DEFAULT" else self._conf[group][option]
        except self._cfg.TemplateSubstitutionError:
            raise self.bad(option, "refers to an option that is not known here", group) from None
        except (self._cfg.Error, ValueError):
            raise self.bad(option, "has a value that cannot be used", group) from None

    def bad(self, option: str, what: str, group: str = "DEFAULT") -> ConfigError:
        return ConfigError(f"[{group}]/{option} in {self._named} {what}: correct it there")

    def text(self, option: str, group: str = "DEFAULT") -> str:
        return str(self._get(option, group) or "").strip()

    def number(self, option: str) -> int:
        return int(self._get(option))

    def stated(self, option: str) -> bool:
        location = self._conf.get_location(option)
        return bool(location and location.location.name == "user")

    def backends(self, host: str) -> tuple[Backend, ...]:
        names = dict.fromkeys(filter(None, self._get("enabled_backends") or ()))
        try:
            for name in names:
                self._conf.register_opts([self._cfg.StrOpt("backend_host")], group=name)
        except self._cfg.Error:  # the backend's name is that of another section, such as database
            raise self.bad("enabled_backends", "names a section that cannot be a backend") from None
        return tuple(Backend(name, self.text("backend_host", name) or host) for name in names)


def _options(cfg: Any, service: str, hostname: str) -> list[Any]:
    """Return the options, with the defaults of cinder/common/config.py, cinder/service.py, cinder/cmd, nova/conf."""
    # cinder 29.0.0 keeps oslo.service's 60 s. nova 34.0.0 sets 180 s in nova/conf/base.py (33 kept 60 s).
    graceful, manager = (180, 160) if service.startswith("nova-") else (60, None)
    return [
        cfg.StrOpt("my_ip"),  # other options refer to it as $my_ip
        cfg.StrOpt("state_path", default="/var/lib/" + service.split("-")[0]),
        cfg.StrOpt("host", default=hostname),
        cfg.ListOpt("enabled_backends", default=[]),
        cfg.IntOpt("service_down_time", default=60),
        cfg.IntOpt("report_interval", default=10),
        cfg.IntOpt("graceful_shutdown_timeout", default=graceful, min=0),
        cfg.IntOpt("manager_shutdown_timeout", default=manager, min=0),
    ]

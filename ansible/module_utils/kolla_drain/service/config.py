"""A service's own configuration files, read with oslo.config as the service reads them.

Only what a drain needs is read: where the service's rows are, and its time-outs. No value is ever printed, not even
in an error message, because any value may be a secret.
"""

from __future__ import annotations

import contextlib
import math
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import profiles, regular
from ..errors import ConfigError
from ..profiles.form import GRACEFUL, Option, Options


@dataclass(frozen=True)
class Backend:
    """One of the enabled backends of cinder-volume or manila-share."""

    name: str  # of its section
    host: str  # Cinder: backend_host of its section, else [DEFAULT]/host

    @property
    def service_host(self) -> str:
        """``services.host`` of the backend's row, as cinder/cmd/volume.py and manila/cmd/share.py compose it."""
        return f"{self.host}@{self.name}"


class Limit(NamedTuple):
    """A time after which a service gives up its work by itself, in seconds."""

    option: str  # with its section: [conductor]/graceful_shutdown_timeout
    seconds: int
    stated: bool  # the files set it


@dataclass(frozen=True)
class ServiceConfig:
    """What a drain needs of a service's configuration. Times are in seconds."""

    service: str  # the binary: cinder-volume
    host: str  # [DEFAULT]/host, by default the host's name
    files: tuple[str, ...] = ()
    backends: tuple[Backend, ...] = ()
    # [database]/connection, which nova-compute does not have. slave_connection is never used because a replica lags
    # and would miss an operation that began a moment ago.
    database: str | None = field(default=None, repr=False)
    service_down_time: int = 60
    report_interval: int = 10
    # 0 means no limit; None: the service has no such option, or does not wait for its work anyway
    graceful_shutdown_timeout: int | None = 60
    manager_shutdown_timeout: int | None = None  # Nova only
    more_limits: tuple[Limit, ...] = ()  # beside graceful_shutdown_timeout
    stated: frozenset[str] = frozenset()  # which of these time-outs the files set
    own: bool = False  # the service's process has read the files as they are
    # Where [oslo_reports] sends its reports: to files of a folder; at a change of a file and not at SIGUSR2.
    report_folder: str = ""
    report_event: str = ""

    @property
    def service_hosts(self) -> tuple[str, ...]:
        """This container's values of ``services.host``; empty if its backends are unknown."""
        if self.backends or self.service == "cinder-volume":
            return tuple(backend.service_host for backend in self.backends)
        return (self.host,)


_CINDER = Options(limits=(GRACEFUL,))  # cinder 29.0.0 keeps oslo.service's 60 s
# nova/conf/base.py of 34.0.0 (33 kept 60 s).
_NOVA = Options(
    limits=(Option("graceful_shutdown_timeout", 180),), manager=Option("manager_shutdown_timeout", 160)
)


def load(
    paths: Sequence[str],
    service: str,
    hostname: str | None = None,
    env: Mapping[str, str] = MappingProxyType({}),
) -> ServiceConfig:
    """Read a service's configuration files. If an option is set twice the later file wins.

    ``hostname``, by default this host's name, replaces a missing [DEFAULT]/host; where the service takes its full name,
    that does. ``env`` is the service's environment, in which OS_DEFAULT__HOST and the like go before the files. Raises
    ConfigError, which names the file and the option but never the value.
    """
    files = tuple(str(path) for path in paths)
    options = _options_of(service)
    name = hostname or socket.gethostname()
    reader = _Reader(service, options, files, socket.getfqdn(name) if options.full_name else name, env)
    host = reader.text("host")
    if not host:
        raise reader.bad("host", "is empty")
    down_time, report_interval = reader.number(options.down), reader.number(options.interval)
    if report_interval and down_time <= report_interval:
        down_time = report_interval * 5 // 2  # as the service corrects it
    own, *more = options.limits or (None,)
    times = {
        "service_down_time": options.down,
        "report_interval": options.interval,
        "graceful_shutdown_timeout": own,
        "manager_shutdown_timeout": options.manager,
    }
    return ServiceConfig(
        service=service,
        host=host,
        files=files,
        backends=reader.backends(host) if options.backends else (),
        database=reader.database() or None,
        service_down_time=down_time,
        report_interval=report_interval,
        graceful_shutdown_timeout=reader.number(own) if own else None,
        manager_shutdown_timeout=reader.number(options.manager) if options.manager else None,
        more_limits=tuple(
            Limit(f"[{option.group}]/{option.name}", reader.number(option), reader.stated(option))
            for option in more
            if option
        ),
        report_folder=reader.text("log_dir", _REPORTS),
        report_event=reader.text("file_event_handler", _REPORTS),
        stated=frozenset(name for name, option in times.items() if option and reader.stated(option)),
    )


def _options_of(service: str) -> Options:
    declared = profiles.declared(service)
    if declared:
        return declared.options
    if service.startswith("nova-"):
        return _NOVA
    return replace(_CINDER, backends="enabled_backends") if service == "cinder-volume" else _CINDER


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


# Another option that a value refers to: $my_ip, ${my_ip} or ${database.host}; not those of oslo.config itself.
_REFERENCE = re.compile(r"\$\{?(?:(\w+)\.)?((?!config_)[A-Za-z]\w*)")

_REPORTS = "oslo_reports"

# Stands for the default of an option that only the service knows.
_UNKNOWN = "\0"

# Bytes of all files together; a sample of every option of Nova has a quarter of it.
_MOST = 1 << 20
_MOST_NAMES = 1000  # of backends, and of options that values refer to
_MOST_VALUES = 10_000  # that may be put together of others
_MOST_SECONDS = 10**9
_MANY = 4  # files that an error names


def _text_of(path: str, service: str, most: int) -> str:
    try:
        return regular.read(path, most).decode("utf-8")
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

    def __init__(
        self, service: str, options: Options, files: tuple[str, ...], hostname: str, env: Mapping[str, str]
    ) -> None:
        self._env, self._options = env, options
        self._cfg = cfg = _oslo_config(service)
        if not files:
            raise ConfigError(
                f"no configuration file is known for {service}: name its files in service_config"
            )
        if len(files) > _MOST_NAMES:
            raise ConfigError(
                f"{service}'s configuration is in {len(files)} files, and at most {_MOST_NAMES} can be read: name the "
                "right files in service_config"
            )
        texts, most = [], _MOST
        for path in files:
            texts.append(_text_of(path, service, most))
            most -= len(texts[-1])
        texts += [text for name, text in env.items() if name.startswith("OS_")]
        last = files[-1] if len(files) < _MANY else f"{len(files) - _MANY + 1} more"
        self._named = " and ".join(filter(None, (", ".join(files[: _MANY - 1][: len(files) - 1]), last)))
        self._conf = conf = _bounded(cfg)()
        for group, registered in _registered(cfg, service, options, hostname).items():
            conf.register_opts(registered, group=None if group == "DEFAULT" else group)
        references = {found for text in texts for found in _REFERENCE.findall(text)}
        if len(references) > _MOST_NAMES:
            raise ConfigError(
                f"{service}'s configuration {self._named} refers to more than {_MOST_NAMES} other options: correct it"
            )
        for group, name in references:
            default = None if name == "backend_host" else _UNKNOWN
            # It may be one of those above, or a word that oslo.config keeps for itself.
            with contextlib.suppress(cfg.Error, ValueError):
                conf.register_opts([cfg.StrOpt(name, default=default)], group=group or None)
        try:
            # The environment is this process's and not the service's, so it is ignored.
            conf([], default_config_files=list(files), default_config_dirs=[], use_env=False)
        except cfg.ConfigFileParseError as exc:
            # The parser's message is not used because it quotes the line, maybe with a secret.
            line = re.search(r":(\d+), ", str(exc.msg))
            where = f"{exc.config_file}, line {line[1]}" if line else str(exc.config_file)
            raise ConfigError(
                f"{service}'s configuration file {where} is not valid: correct the line there"
            ) from None
        except (cfg.Error, ValueError, RecursionError) as exc:
            raise ConfigError(
                f"{service}'s configuration {self._named} cannot be read ({type(exc).__name__})"
            ) from None

    def _get(self, option: str, group: str = "DEFAULT") -> Any:
        try:
            if (variable := _variable(option, group)) in self._env:
                self._conf.set_override(option, self._env[variable], None if group == "DEFAULT" else group)
            value = self._conf[option] if group == "DEFAULT" else self._conf[group][option]
        except RecursionError:
            raise self.bad(option, "refers to itself, or to too many other options", group) from None
        except (self._cfg.Error, ValueError):
            raise self.bad(option, "has a value that cannot be used", group) from None
        if _UNKNOWN in str(value):
            raise self.bad(option, "refers to an option that the file does not set", group)
        return value

    def bad(self, option: str, what: str, group: str = "DEFAULT") -> ConfigError:
        variable = _variable(option, group)
        where = f"the container's variable {variable}" if variable in self._env else self._named
        return ConfigError(f"[{group}]/{option} in {where} {what}: correct it there")

    def text(self, option: str, group: str = "DEFAULT") -> str:
        return str(self._get(option, group) or "").strip()

    def database(self) -> str:
        """Return the database's URL with the parameters that oslo.db appends to it, such as ssl_ca."""
        group = self._options.database
        url, more = (self.text(option, group) for option in ("connection", "connection_parameters"))
        return f"{url}{'&' if '?' in url.rpartition('@')[2] else '?'}{more}" if url and more else url

    def number(self, option: Option) -> int:
        value = self._get(option.name, option.group)
        if value is None:
            raise self.bad(option.name, "is empty", option.group)
        if not math.isfinite(value):
            raise self.bad(option.name, "has a value that cannot be used", option.group)
        seconds: int = math.ceil(value)
        return seconds * option.times

    def stated(self, option: Option) -> bool:
        group = None if option.group == "DEFAULT" else option.group
        try:
            location = self._conf.get_location(option.name, group)
        except (self._cfg.Error, ValueError, RecursionError):  # a value that this service does not read
            return True
        is_set = bool(location and location.location.name == "user")
        return _variable(option.name, option.group) in self._env or is_set

    def backends(self, host: str) -> tuple[Backend, ...]:
        option = self._options.backends
        names = dict.fromkeys(filter(None, map(str.strip, self.text(option).split(","))))
        if len(names) > _MOST_NAMES:
            raise self.bad(option, f"names more than {_MOST_NAMES} backends")
        try:
            for name in names:
                self._conf.register_opts([self._cfg.StrOpt("backend_host")], group=name)
        except self._cfg.Error:  # the backend's name is that of another section, such as database
            raise self.bad(option, "names a section that cannot be a backend") from None
        return tuple(Backend(name, self.text("backend_host", name) or host) for name in names)


def _bounded(cfg: Any) -> Any:
    """Return ConfigOpts that give up on values that grow without end when they are put together of others."""

    class Bounded(cfg.ConfigOpts):  # type: ignore[misc]
        _put_together = 0

        def _substitute(self, *args: Any, **kwargs: Any) -> Any:
            self._put_together += 1
            if self._put_together > _MOST_VALUES:
                raise RecursionError
            return super()._substitute(*args, **kwargs)

    return Bounded


def _variable(option: str, group: str = "DEFAULT") -> str:
    """Return the variable of the environment that oslo.config reads before the files."""
    return f"OS_{group.upper()}__{option.upper()}"


def _registered(cfg: Any, service: str, options: Options, hostname: str) -> dict[str, list[Any]]:
    """Return the options by their section, with the services' own defaults."""
    found = {
        "DEFAULT": [
            cfg.StrOpt("state_path", default="/var/lib/" + service.split("-")[0]),
            cfg.StrOpt("host", default=hostname),
        ],
        options.database: [cfg.StrOpt(name, secret=True) for name in ("connection", "connection_parameters")],
    }
    found.setdefault(_REPORTS, []).extend(cfg.StrOpt(name) for name in ("log_dir", "file_event_handler"))
    if options.backends:  # oslo's own list takes the square of its length
        found["DEFAULT"].append(cfg.StrOpt(options.backends, default=""))
    times = (options.interval, options.down, *options.limits, options.manager)
    for name, default, group in {option[:3] for option in times if option}:
        least = 0 if name.endswith("shutdown_timeout") else None
        # To most services they are whole numbers; Neutron takes others as well.
        registered = cfg.FloatOpt(name, default=default, min=least, max=_MOST_SECONDS)
        found.setdefault(group, []).append(registered)
    return found

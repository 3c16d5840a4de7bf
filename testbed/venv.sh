# shellcheck shell=sh
# Sourced by the tools: the project's virtual environment, and root where that is needed.

# as_root COMMAND...: as it is when we are root, else by sudo with the environment kept.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -E "$@"
    else
        echo "This needs root, and there is no sudo: run it as root." >&2
        return 1
    fi
}

# usable_python: the first Python 3.10 or later that can make a virtual environment. The distribution's comes first: it is
# built with the optimisations that pyenv leaves out, which is a fifth of what the tests compute.
usable_python() {
    for candidate in /usr/bin/python3 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# ensure_venv ROOT PACKAGE...: ROOT/.venv with these packages (names without versions).
ensure_venv() {
    venv="$1/.venv"
    shift
    if [ ! -x "$venv/bin/python" ]; then
        if ! python=$(usable_python); then
            echo "installing python3-venv ..." >&2
            as_root apt-get update -q >/dev/null
            as_root apt-get install -qy --no-install-recommends python3 python3-venv >/dev/null
            python=$(usable_python) || {
                echo "Python 3.10 or later with venv is needed, and apt did not bring one." >&2
                return 1
            }
        fi
        echo "making $venv ..." >&2
        "$python" -m venv "$venv"
    fi
    missing=$("$venv/bin/python" - "$@" <<'PY'
import re
import sys
from importlib import metadata


def there(wanted):
    try:
        metadata.version(re.split(r"[<>=!~\[ ]", wanted)[0])
        return True
    except metadata.PackageNotFoundError:
        return False


print(" ".join(name for name in sys.argv[1:] if not there(name)))
PY
    )
    if [ -n "$missing" ]; then
        echo "installing $missing into $venv ..." >&2
        # shellcheck disable=SC2086
        "$venv/bin/pip" install -q --disable-pip-version-check $missing
    fi
}

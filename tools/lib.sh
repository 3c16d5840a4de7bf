# shellcheck shell=bash
# The common part of the tools. Sourced, never run. testbed/setup_host.py sets the machine up (engine, packages), and
# testbed/venv.sh makes the virtual environment; the functions below call them and report progress.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
# The next run of a tool installs a change in any of these; the stamp holds their hash.
REQUIREMENTS=(requirements.txt test-requirements.txt lint-requirements.txt docs/requirements.txt tools/requirements.txt)

# NOTE: a tool that another tool calls counts from its caller's start.
export KOLLA_DRAIN_STARTED=${KOLLA_DRAIN_STARTED:-$(date +%s)}
export PIP_DISABLE_PIP_VERSION_CHECK=1
# NOTE: Ansible refuses to run in anything but UTF-8, and a bare machine has no locale set.
export LC_ALL=C.UTF-8

# shellcheck source=testbed/venv.sh
source "$ROOT/testbed/venv.sh"

elapsed() { echo $(($(date +%s) - KOLLA_DRAIN_STARTED)); }

say() { printf '[%3d s] %s\n' "$(elapsed)" "$*"; }

# die WHAT WHAT-TO-DO
die() {
    printf '[%3d s] FAILED: %s\n         What to do: %s\n' "$(elapsed)" "$1" "$2" >&2
    exit 1
}

# need_root ARGUMENT... ; starts the calling tool again under sudo where it is not root yet.
need_root() {
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || die "root is needed for apt, the engine and /run, and there is no sudo" "run it as root"
    say "root is needed for apt, the engine and /run: going on under sudo"
    exec sudo --preserve-env=CI,DOCKER_HOST,KOLLA_DRAIN_STARTED "$0" "$@"
}

# Give the files that root made inside the checkout to the user who called sudo.
give_back() {
    [ -n "${SUDO_UID:-}" ] || return 0
    find "$ROOT" -xdev -user root -exec chown -h "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" {} + 2>/dev/null || true
}

_install_requirements() {
    local wanted stamp=$VENV/.requirements-stamp
    cd "$ROOT" || return 1
    ensure_venv "$ROOT" || return 1
    wanted=$(cat "${REQUIREMENTS[@]}" | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
        say "virtual environment: .venv is up to date"
        return 0
    fi
    say "virtual environment: installing what the requirements files name into .venv"
    "$VENV/bin/python" -m pip -qq install "${REQUIREMENTS[@]/#/-r}" || return 1
    echo "$wanted" >"$stamp"
    say "virtual environment: ready"
}

# Make .venv, with everything that the requirements files name.
# NOTE: tools that start at the same time wait for each other; the locked file is one that always exists.
ensure_requirements() {
    (flock 9 && _install_requirements 9<&-) 9<"$ROOT/setup.cfg" ||
        die "the virtual environment .venv could not be made" "see the words above; pip needs a package index that it can reach"
}

# setup_host CALL ; call a function of testbed/setup_host.py.
setup_host() { (cd "$ROOT" && "$VENV/bin/python" -c "from testbed import setup_host as s; s.$1"); }

# Install the missing packages of bindep.txt; testbed installs those with a profile when it needs them.
ensure_packages() {
    local missing
    missing=$("$VENV/bin/bindep" --brief --file "$ROOT/bindep.txt" 2>/dev/null | xargs) || true
    [ -n "$missing" ] || return 0
    say "installing from the distribution: $missing"
    setup_host "ensure_packages('$missing'.split())" ||
        die "packages are missing: $missing" "see apt's words above, or install them by hand"
}

# Have a Docker Engine that answers: install and start one if there is none, and leave it running.
ensure_engine() {
    say "engine: looking for one, starting it if none answers"
    setup_host "ensure_host()" ||
        die "there is no Docker Engine that answers" "see the words above; 'docker info' must work for root"
    say "engine: answers"
}

"""Images made of the distribution's and Python's packages; no registry needed.

Each image's tag is a hash of what goes into it, so it is built only when that
changes. The distribution's root file system and the Python wheels are made
side by side, since one waits for the disk and the other for the network.

"cinder" and "nova" are of the current release, "cinder-24" is of an older one
(OLD_RELEASES), "more" has several projects in one (MORE, SCHEMA_ONLY). The
pins of each are in constraints/.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound
from docker.types import Mount

from testbed.console import say, step
from testbed.errors import TestbedError
from testbed.locks import locked
from testbed.paths import CACHE_DIR, CONSTRAINTS, LABEL, REPOSITORY
from testbed.setup_host import ensure_packages, host_release

PACKAGES = (
    "apache2-bin,ca-certificates,curl,dumb-init,haproxy,iproute2,libeatmydata1,mariadb-server,nginx-light,openssl,procps,"
    "python3,python3-pymysql,python3-venv,qemu-utils,rabbitmq-server,sudo,tini,uwsgi-core,uwsgi-plugin-python3"
)
DPKG_OPTIONS = (
    "force-unsafe-io",
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/locale/*",
)
CHANGES = (
    'ENTRYPOINT ["dumb-init","--single-child","--"]',
    'CMD ["sleep","infinity"]',
    f"LABEL {LABEL}=image",
)

# NOTE: sudo's secure_path does not hold the venv, hence the links: without them a
# backup stays in `creating` ("sudo: cinder-rootwrap: command not found").
INSTALL = """set -e
python3 -m venv /opt/{project}
/opt/{project}/bin/pip install -q --disable-pip-version-check --no-index --find-links /wheels \
    --no-compile -c /constraints/{project}.txt {project} PyMySQL
rm -rf /opt/{project}/lib/python3*/site-packages/{project}/tests
python3 -m compileall -q -j 0 /opt/{project}/lib || true
for tool in {project}-rootwrap privsep-helper; do
    [ ! -e /opt/{project}/bin/$tool ] || ln -sf /opt/{project}/bin/$tool /usr/local/bin/
done
[ ! -d /opt/{project}/etc/{project} ] || cp -a /opt/{project}/etc/{project} /etc/{project}
mkdir -p /etc/{project} /var/lib/{project} /var/log/kolla
"""
# Releases to upgrade from, with their OpenStack release. The pins are those of openstack/requirements for it.
OLD_RELEASES = {
    "cinder-24": "2024.1",
    "cinder-26": "2025.1",
    "nova-29": "2024.1",
    "nova-31": "2025.1",
}
# Some packages have no wheels and need bdist_wheel. Of those of 2024.1, netifaces is in C.
BUILD_PACKAGES = ("gcc", "python3-dev")

# The projects of the image "more": pip resolves them together, and one virtual environment is half as large as three.
MORE = ("manila", "ironic", "heat")
# Beside them those of which nothing runs here: they are there to make their schemas.
SCHEMA_ONLY = (
    "barbican",
    "blazar",
    "cyborg",
    "designate",
    "glance",
    "magnum",
    "masakari",
    "mistral",
    "neutron",
    "octavia",
    "tacker",
    "trove",
    "watcher",
)
# What PyPI calls a project, where that is not its name.
_DISTRIBUTIONS = {"cyborg": "openstack-cyborg", "heat": "openstack-heat", "watcher": "python-watcher"}
# What is installed, where that is not the project alone. Placement lives in Nova's venv, because it needs nothing else.
INSTALLED = {
    "nova": ("nova", "openstack-placement"),
    "more": tuple(_DISTRIBUTIONS.get(project, project) for project in (*MORE, *SCHEMA_ONLY)),
}
# NOTE: Nova loads compute drivers from nova.virt only, and the testbed's are mounted at /opt/testbed.
INSTALL_BESIDE = {
    "nova": """
/opt/nova/bin/pip install -q --disable-pip-version-check --no-index --find-links /wheels \
    --no-compile -c /constraints/nova.txt openstack-placement
rm -rf /opt/nova/lib/python3*/site-packages/placement/tests
for virt in /opt/nova/lib/python3*/site-packages/nova/virt; do
    ln -s /opt/testbed/kolla_drain_testbed "$virt/kolla_drain_testbed"
done
python3 -m compileall -q /opt/nova/lib/python3*/site-packages/placement || true
"""
}
# NOTE: Manila's DummyDriver is among its tests; of these nothing else stays. What only makes schemas runs once, so that
# compiling it would take longer.
INSTALL_MORE = (
    """set -e
python3 -m venv /opt/more
install="/opt/more/bin/pip install -q --disable-pip-version-check --no-index --find-links /wheels \
    --no-compile -c /constraints/more.txt"
$install manila ironic openstack-heat PyMySQL
cd /opt/more/lib/python3*/site-packages
rm -rf ironic/tests heat/tests
find manila/tests -type f ! -name __init__.py ! -path manila/tests/share/drivers/dummy.py -delete
python3 -m compileall -q -j 0 /opt/more/lib || true
for project in manila ironic heat; do
    [ ! -d /opt/more/etc/$project ] || cp -a /opt/more/etc/$project /etc/$project
    mkdir -p /etc/$project /var/lib/$project
done
mkdir -p /var/log/kolla
"""
    + f"$install {' '.join(INSTALLED['more'])}"
)


@dataclass(frozen=True)
class Image:
    """The name and the tag of an image; the tag is a hash of its contents."""

    name: str
    tag: str

    @property
    def reference(self) -> str:
        return f"{REPOSITORY}/{self.name}:{self.tag}"


def digest_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def base_image() -> Image:
    """The distribution's packages that every container shares."""
    codename = host_release().get("VERSION_CODENAME", "")
    return Image("base", digest_of(codename, PACKAGES, *DPKG_OPTIONS, *CHANGES))


def project_image(name: str) -> Image:
    """The base and one OpenStack project, of a given release, in a venv of its own."""
    project = _project(name)
    return Image(project, digest_of(base_image().tag, _pins(name).read_text(), _install(project)))


def _project(name: str) -> str:
    return name.partition("-")[0]


def _pins(name: str) -> Path:
    return CONSTRAINTS / f"{name}.txt"


def _install(project: str) -> str:
    return INSTALL_MORE if project == "more" else INSTALL + INSTALL_BESIDE.get(project, "")


def image_of(project: str) -> str:
    """The name of the image that has a project, of the current release."""
    return "more" if project in (*MORE, *SCHEMA_ONLY) else project


def image_named(name: str) -> Image:
    """base, cinder, nova or more, or one of OLD_RELEASES."""
    return base_image() if name == "base" else project_image(name)


def present(client: docker.DockerClient, image: Image) -> bool:
    """Return whether the image exists."""
    try:
        client.images.get(image.reference)
        return True
    except ImageNotFound:
        return False


def ensure(client: docker.DockerClient, *names: str) -> dict[str, Image]:
    """Build the missing ones of base, cinder, nova, more and OLD_RELEASES; return the images by name."""
    wanted = {name: image_named(name) for name in dict.fromkeys(("base", *names))}
    if not all(present(client, image) for image in wanted.values()):
        with locked("images"):
            _build(client, wanted)
    return wanted


def _build(client: docker.DockerClient, wanted: dict[str, Image]) -> None:
    """Build the images that are still missing once the lock is held."""
    missing = [name for name, image in wanted.items() if not present(client, image)]
    projects = [name for name in missing if name != "base"]
    ensure_packages(["mmdebstrap", "python3-venv"])
    jobs = [lambda: _make_wheels(projects)] if projects else []
    if "base" in missing:
        jobs.append(lambda: _build_base(client, wanted["base"]))
    _side_by_side(jobs)
    for name in projects:
        _build_project(client, wanted["base"], wanted[name], name)
        shutil.rmtree(_wheels(name))


def _side_by_side(jobs: list[Callable[[], None]]) -> None:
    """Run the jobs in threads. Raises the first error once all have ended."""
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _mirrors(codename: str) -> list[str]:
    """The host's own package sources of its own release, as sources.list lines."""
    vendor = {"debian": "Debian", "ubuntu": "Ubuntu"}[host_release()["ID"]]
    command = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
        f"Origin: {vendor}",
    ]
    for update in (False, True):
        if update:
            subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        wanted = {codename, f"{codename}-updates", f"{codename}-security"}
        found = [line.split("|") for line in shown.splitlines()]
        lines = [f"deb {uri} {suite} {part}" for uri, suite, part in found if suite in wanted]
        if lines:
            return list(dict.fromkeys(lines))
    raise TestbedError(
        f"apt knows no {vendor} source for {codename}: check /etc/apt/sources.list* and run apt-get update."
    )


def _apt_options() -> list[str]:
    """The host's proxies and certificates for apt: mmdebstrap's apt reads no host configuration."""
    shown = subprocess.run(
        ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    words = ("::Proxy", "::CaInfo", "::Verify")
    return [f"--aptopt={line}" for line in shown if any(word in line for word in words) and '""' not in line]


def _build_base(client: docker.DockerClient, image: Image) -> None:
    import_root(client, image, PACKAGES, CHANGES)


def import_root(
    client: docker.DockerClient, image: Image, packages: str, changes: Sequence[str], *options: str
) -> None:
    """The distribution's root file system with these packages as an image; options are mmdebstrap's."""
    codename = host_release()["VERSION_CODENAME"]
    command = [
        "mmdebstrap",
        "--variant=minbase",
        *(f"--dpkgopt={option}" for option in DPKG_OPTIONS),
        *_apt_options(),
        f"--include={packages}",
        *options,
        codename,
        "-",
        *_mirrors(codename),
    ]
    with step(f"building {image.reference} ({codename})"), tempfile.TemporaryFile() as messages:
        maker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)
        try:
            client.api.import_image(
                src=maker.stdout,
                repository=f"{REPOSITORY}/{image.name}",
                tag="half-built",
                changes=list(changes),
                stream_src=True,
            )
        except APIError as error:
            # NOTE: nobody reads its output any more, so it would never end by itself.
            maker.terminate()
            raise TestbedError(
                f"The engine would not import {image.reference}: {error.explanation}"
            ) from error
        finally:
            maker.wait()
        if maker.returncode:
            messages.seek(0)
            tail = messages.read().decode(errors="replace").strip().splitlines()[-12:]
            raise TestbedError("mmdebstrap failed:\n" + "\n".join(tail))
        _give_final_tag(client, image)


def _give_final_tag(client: docker.DockerClient, image: Image) -> None:
    """Give the image its tag only once it is complete, so that a partial one is never used."""
    half = f"{REPOSITORY}/{image.name}:half-built"
    client.images.get(half).tag(f"{REPOSITORY}/{image.name}", image.tag)
    client.images.remove(half, noprune=True)


def _make_wheels(names: list[str]) -> None:
    """Fetch wheels with the host's own Python: the image's is of the same release.

    So pip's configuration, certificates and caches stay on the host.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _run(["/usr/bin/python3", "-m", "venv", scratch], "making a virtual environment")
        _run([f"{scratch}/bin/pip", "install", "-q", "wheel"], "fetching what builds wheels")
        if set(names) & set(OLD_RELEASES):
            ensure_packages(BUILD_PACKAGES)
        for name in names:
            pins, project = _pins(name), _project(name)
            lines = pins.read_text().splitlines()
            packages = INSTALLED.get(project, (project,))
            versions = [line for line in lines if line.partition("==")[0] in packages]
            what = ", ".join(versions)
            with step(f"fetching the wheels of {what}"):
                command = [f"{scratch}/bin/pip", "wheel", "-q", "--wheel-dir", str(_wheels(name))]
                _run([*command, "-c", str(pins), *versions, "PyMySQL"], f"fetching {what} from PyPI")


def _wheels(name: str) -> Path:
    return CACHE_DIR / f"wheels-{project_image(name).tag}"


def _run(command: list[str], what: str) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise TestbedError(f"{what} failed (rc {ran.returncode}): {ran.stderr.strip()[-1500:]}")


def _build_project(client: docker.DockerClient, base: Image, image: Image, name: str) -> None:
    """Install into a container of the base image, and commit that."""
    project = image.name
    with step(f"building {image.reference}"):
        container = client.containers.run(
            base.reference,
            ["sh", "-c", _install(project).format(project=project)],
            detach=True,
            network_mode="none",
            labels={LABEL: "build"},
            # NOTE: volumes would stay in the image, and each of its containers would get empty ones of its own.
            mounts=[
                Mount("/wheels", str(_wheels(name)), type="bind", read_only=True),
                Mount(f"/constraints/{project}.txt", str(_pins(name)), type="bind", read_only=True),
            ],
        )
        try:
            code = container.wait(timeout=900)["StatusCode"]
            if code:
                tail = container.logs(tail=20).decode(errors="replace")
                raise TestbedError(f"installing {project} into its image failed (rc {code}):\n{tail}")
            path = f"/opt/{project}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            changes = [f"ENV PATH={path}", 'CMD ["sleep","infinity"]']
            container.commit(f"{REPOSITORY}/{project}", image.tag, changes="\n".join(changes))
        finally:
            container.remove(force=True)


def remove_all(client: docker.DockerClient) -> int:
    """Remove every image of the testbed, of any tag; return their number."""
    names = [tag for image in client.images.list() for tag in image.tags if tag.startswith(f"{REPOSITORY}/")]
    # The base goes last: the others are layers on top of it.
    for name in sorted(names, key=lambda tag: tag.startswith(f"{REPOSITORY}/base")):
        say(f"removing image {name}")
        client.images.remove(name, force=True)
    return len(names)

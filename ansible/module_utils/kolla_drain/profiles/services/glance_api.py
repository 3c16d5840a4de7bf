"""glance-api, from the sources of glance 33.0.0: the tasks that go on when their requests are over, and uploads.

It waits for its tasks at the end, and uWSGI for its requests, both without a limit (glance/common/wsgi_app.py
drain_workers).
"""

from __future__ import annotations

from ...model import Profile
from ..form import Kind, Service, Work

LIVE = "t.deleted = 0"
# Seconds after which glance-api lets another import have the image (glance/api/v2/images.py _enforce_import_lock).
_EXPIRES = 3600

SERVICE = Service(
    Profile("glance-api", quiesce=True, keeps_work=True, exit_seconds=15.0),
    schema="glance",
    binary="uwsgi",
    serves=True,
    work=(
        Work(
            "task",
            "tasks",
            live=LIVE,
            stale=_EXPIRES,
            kinds=(
                Kind(
                    "image_task",
                    ("pending", "processing"),
                    fate="nobody resumes it, and its image can be imported again after an hour",
                    failed=("failure",),
                ),
            ),
        ),
        Work(
            "image",
            "images",
            live=LIVE,
            stale=_EXPIRES,
            kinds=(
                Kind(
                    "image_upload",
                    ("saving",),
                    fate="the image stays saving: delete it, and upload it again",
                    failed=("queued", "killed"),
                ),
            ),
        ),
    ),
)

"""As some forks of Cinder do: an operation touches its row of ``workers`` every few seconds for as long as it runs.

Installed by the volume driver when TESTBED_TOUCHING says every how many seconds.
"""

import logging
import os
import threading
import time
import weakref

from cinder import context, exception
from cinder.db import api as db
from cinder.objects.cleanable import CinderCleanableObject

from kolla_drain_testbed.pauses import died

LOG = logging.getLogger(__name__)
EVERY = float(os.environ.get("TESTBED_TOUCHING") or 0)
_set_worker = CinderCleanableObject.set_worker
# NOTE: what changes a row asks for the updated_at that it has seen last.
_lock = threading.Lock()


def _set_worker_and_touch(self):
    before = self.worker
    with _lock:
        _set_worker(self)
    if before is None and self.worker is not None and not self.worker.cleaning:
        # Weak: an operation that has ended by an error keeps its row, and touches it no more.
        threading.Thread(target=_keep_touching, args=(weakref.ref(self),), daemon=True).start()


def _keep_touching(operation):
    while True:
        time.sleep(EVERY)
        if not _touched(operation()):
            return


def _touched(operation):
    if operation is None or died(operation.id):
        return False
    with _lock:
        if operation.worker is None:
            return False
        try:
            worker = operation.worker
            db.worker_update(context.get_admin_context(), worker.id, orm_worker=worker)
        except exception.WorkerNotFound:
            return False
        except Exception:
            LOG.exception("testbed: the row of %s could not be touched", operation.id)
    return True


def install():
    if EVERY:
        CinderCleanableObject.set_worker = _set_worker_and_touch

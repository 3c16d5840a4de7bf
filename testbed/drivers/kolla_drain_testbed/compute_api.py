"""The Compute API's application, also of older releases.

Before 2026.1 importing it puts green threads in the place of threads, and the server's loop would never let them run.
Before 2025.1 there is no module that makes it.
"""

import os
from importlib.metadata import version

if int(version("nova").partition(".")[0]) < 33:
    os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

try:
    from nova.wsgi.osapi_compute import application
except ModuleNotFoundError:
    from nova.api.openstack import wsgi_app

    application = wsgi_app.init_application("osapi_compute")

__all__ = ["application"]

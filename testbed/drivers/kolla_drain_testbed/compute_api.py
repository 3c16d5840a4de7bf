"""The Compute API's application, also of releases before 2025.1, which have no module that makes it."""

try:
    from nova.wsgi.osapi_compute import application
except ModuleNotFoundError:
    from nova.api.openstack import wsgi_app

    application = wsgi_app.init_application("osapi_compute")

__all__ = ["application"]

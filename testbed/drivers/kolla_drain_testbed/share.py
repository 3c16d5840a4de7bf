"""Manila's own DummyDriver, as slow as it is told to be."""

from manila.tests.share.drivers import dummy

from kolla_drain_testbed.pauses import pause


class SlowDummyDriver(dummy.DummyDriver):
    """Creating, extending and deleting a share wait as they are told."""

    def create_share(self, context, share, share_server=None):
        pause("share_create", share["id"])
        return super().create_share(context, share, share_server)

    def extend_share(self, share, new_size, share_server=None):
        pause("share_extend", share["id"])
        super().extend_share(share, new_size, share_server)

    def delete_share(self, context, share, share_server=None):
        pause("share_delete", share["id"])
        super().delete_share(context, share, share_server)

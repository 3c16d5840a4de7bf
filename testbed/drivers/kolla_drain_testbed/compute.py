"""Nova's fake hypervisor, as slow as it is told to be, with guests that outlive a restart as real ones do."""

import json
import os
import threading

from nova.virt import fake, node

from kolla_drain_testbed.pauses import pause

GUESTS = "/var/lib/nova/guests.json"
WRITING = threading.Lock()


class SlowFakeDriver(fake.FakeDriver):
    """Guests are names in a file; every operation waits as it is told."""

    def init_host(self, host):
        super().init_host(host)
        try:
            with open(GUESTS, encoding="utf-8") as file:
                guests = json.load(file)
        except FileNotFoundError:
            guests = []
        self.instances = {one["uuid"]: fake.FakeInstance(**one) for one in guests}

    def _remember(self):
        half = f"{GUESTS}.half"
        with WRITING:
            with open(half, "w", encoding="utf-8") as file:
                json.dump([vars(guest) for guest in list(self.instances.values())], file)
            os.replace(half, GUESTS)

    # The fake driver's node gets another identity at every start, which a real one must never do.
    def get_available_resource(self, nodename):
        return {**super().get_available_resource(nodename), "uuid": node.get_local_node_uuid()}

    def get_nodenames_by_uuid(self, refresh=False):
        return {node.get_local_node_uuid(): name for name in self.get_available_nodes()}

    def spawn(self, context, instance, *args, **kwargs):
        pause("instance_spawn", instance.uuid)
        super().spawn(context, instance, *args, **kwargs)
        self._remember()

    def destroy(self, context, instance, *args, **kwargs):
        pause("instance_destroy", instance.uuid)
        super().destroy(context, instance, *args, **kwargs)
        self._remember()

    def power_off(self, instance, timeout=0, retry_interval=0):
        pause("instance_power_off", instance.uuid)
        super().power_off(instance, timeout, retry_interval)
        self._remember()

    def power_on(self, context, instance, *args, **kwargs):
        pause("instance_power_on", instance.uuid)
        super().power_on(context, instance, *args, **kwargs)
        self._remember()

    def reboot(self, context, instance, *args, **kwargs):
        pause("instance_reboot", instance.uuid)
        super().reboot(context, instance, *args, **kwargs)

    def snapshot(self, context, instance, *args, **kwargs):
        pause("instance_snapshot", instance.uuid)
        super().snapshot(context, instance, *args, **kwargs)

    def pause(self, instance):
        pause("instance_pause", instance.uuid)
        super().pause(instance)

    def migrate_disk_and_power_off(self, context, instance, *args, **kwargs):
        pause("instance_migrate", instance.uuid)
        super().migrate_disk_and_power_off(context, instance, *args, **kwargs)

    def live_migration(self, context, instance, *args, **kwargs):
        pause("instance_live_migration", instance.uuid)
        super().live_migration(context, instance, *args, **kwargs)

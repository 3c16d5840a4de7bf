"""kolla-drain: stop OpenStack's containers without losing the work inside them."""

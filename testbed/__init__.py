"""A real OpenStack Cinder in containers, for the demo, the tests and people.

``testbed.stack.Stack`` is the whole stack, ``testbed.mariadb.start`` a
database alone. Nothing here travels to a managed host.
"""

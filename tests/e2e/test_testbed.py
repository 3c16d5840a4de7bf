"""The test stack itself, where no test of what runs on it would show that something is amiss."""

from __future__ import annotations

import requests

from testbed.stack import Stack


def test_the_brokers_management_api_is_open_to_the_services_user(any_stack: Stack) -> None:
    ends = any_stack.up().state.endpoints
    answer = requests.get(
        f"http://127.0.0.1:{ends.rabbitmq_management_port}/api/whoami",
        auth=("openstack", ends.rabbitmq_password),
        timeout=30,
        proxies={"http": ""},
    )
    assert answer.json()["tags"] == ["administrator"]

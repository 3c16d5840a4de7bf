"""Runs inside a container that has an AMQP library: hold what is sent to some queues until stdin ends.

A consumer of a higher priority is given every message first. It acknowledges none, so when it goes the
broker puts them back where they were, and whoever serves the queue by then gets them in their order.
"""

import configparser
import re
import select
import sys
from urllib.parse import unquote, urlsplit

import amqp

PRIORITY = 100
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def connect():
    conf = configparser.RawConfigParser(strict=False)
    conf.read("/etc/cinder/cinder.conf")
    url = urlsplit(conf["DEFAULT"]["transport_url"])
    connection = amqp.Connection(
        f"{url.hostname}:{url.port}", unquote(url.username or ""), unquote(url.password or "")
    )
    connection.connect()
    return connection


def main():
    """park.py QUEUE..."""
    held = 0

    def hold(message):
        nonlocal held
        held += 1
        body = message.body if isinstance(message.body, str) else message.body.decode()
        # Whose requests these are: their rows say that they are under way, and they are not.
        print(*set(ID.findall(body)), flush=True)

    connection = connect()
    channel = connection.channel()
    for queue in sys.argv[1:]:
        channel.basic_consume(queue, callback=hold, arguments={"x-priority": PRIORITY})
    print("parked", flush=True)
    while True:
        ready, _, _ = select.select([sys.stdin, connection.sock], [], [])
        if connection.sock in ready:
            connection.drain_events(timeout=1)
        if sys.stdin in ready and not sys.stdin.readline():
            break
    connection.close()
    print(f"held {held}", flush=True)


if __name__ == "__main__":
    main()

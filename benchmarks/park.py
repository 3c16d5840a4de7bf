"""Runs inside a container that has an AMQP library: hold what is sent to some queues until stdin ends.

A consumer of a higher priority is given every message first. It acknowledges none, so when it goes the
broker puts them back where they were, and whoever serves the queue by then gets them in their order.
"""

import configparser
import select
import sys
from urllib.parse import unquote, urlsplit

import amqp

PRIORITY = 100


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
    held = []
    connection = connect()
    channel = connection.channel()
    for queue in sys.argv[1:]:
        channel.basic_consume(queue, callback=held.append, arguments={"x-priority": PRIORITY})
    print("parked", flush=True)
    while True:
        ready, _, _ = select.select([sys.stdin, connection.sock], [], [])
        if connection.sock in ready:
            connection.drain_events(timeout=1)
        if sys.stdin in ready and not sys.stdin.readline():
            break
    connection.close()
    print(len(held), flush=True)


if __name__ == "__main__":
    main()

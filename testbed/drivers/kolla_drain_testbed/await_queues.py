"""Wait until every queue named has a consumer; then exit 0.

A passive declare says how many consumers a queue has, in a millisecond; rabbitmqctl takes seconds.
"""

import configparser
import sys
import time
from urllib.parse import unquote, urlsplit

import amqp


def consumers(connection: amqp.Connection, queue: str) -> int:
    """How many consumers the queue has; none when it is not there."""
    channel = connection.channel()
    try:
        return channel.queue_declare(queue, passive=True).consumer_count
    except amqp.exceptions.NotFound:
        return 0
    finally:
        if channel.is_open:
            channel.close()


def main() -> int:
    """await_queues.py SECONDS QUEUE..."""
    conf = configparser.RawConfigParser(strict=False)
    projects = ("cinder", "nova", "manila", "ironic", "heat")
    conf.read([f"/etc/{name}/{name}.conf" for name in projects])  # a container has one of them
    url = urlsplit(conf["DEFAULT"]["transport_url"])
    broker = {
        "host": f"{url.hostname}:{url.port}",
        "userid": unquote(url.username or ""),
        "password": unquote(url.password or ""),
    }
    deadline = time.monotonic() + float(sys.argv[1])
    missing = sys.argv[2:]
    while missing:
        try:
            with amqp.Connection(**broker) as connection:
                while missing and time.monotonic() < deadline:
                    missing = [queue for queue in missing if not consumers(connection, queue)]
                    time.sleep(0.1 if missing else 0)
        except (OSError, amqp.exceptions.AMQPError) as error:
            print(f"broker: {error}", file=sys.stderr)
            time.sleep(0.3)
        if time.monotonic() >= deadline and missing:
            print("no consumer on " + " ".join(missing), file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

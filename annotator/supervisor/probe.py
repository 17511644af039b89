"""`python -m annotator.supervisor.probe [NAME]`: whether the process of this container is well; 0 or 1, for health checks."""

from __future__ import annotations

import socket
import sys

from redis import Redis
from redis.exceptions import RedisError

from annotator import env
from annotator.supervisor import services
from annotator.supervisor.__main__ import answers


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "web"
    if name not in services.ALONE:
        sys.stderr.write(f"{name} is none of {', '.join(services.ALONE)}.\n")
        return 2
    plan = services.plan_from_environment()
    if name == "web":
        well = answers(plan)
    elif name == "sockets":
        well = listens(plan.socket_port)
    else:
        well = seen(name.removeprefix("worker-"))
    return 0 if well else 1


def listens(port: int) -> bool:
    """Whether something takes connections on this machine's port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def seen(queue: str) -> bool:
    """Whether a worker on this machine wrote its sign of life for the queue within the last minute."""
    client = Redis.from_url(env.redis_urls(env.redis_url())["cache"], socket_timeout=3)
    try:
        return bool(client.exists(f":1:jobs.worker_seen.{queue}.{socket.gethostname()}"))
    except (RedisError, OSError):
        return False
    finally:
        client.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

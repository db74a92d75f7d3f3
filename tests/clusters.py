"""Two processes of this machine as the machines of a cluster."""

import json
import socket


def two_machines():
    """`TF_CONFIG` of each, a list of 2 str, with ports that are free just now."""
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        places = [f"127.0.0.1:{free.getsockname()[1]}" for free in (first, second)]
    cluster = {"worker": places}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": number}})
        for number in range(2)
    ]

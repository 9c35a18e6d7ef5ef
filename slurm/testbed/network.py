"""The cluster's network: a bridge inside the controller's namespace, to which every node and this machine's shell connect.

In the machine's own namespace stands one interface, with one address. The bridge is not there on purpose: a firewall that
drops forwarded traffic (Docker's does) would cut the nodes off from each other.
"""

import contextlib
import ipaddress
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from slurm.testbed.layout import CONTROLLER, Addresses, Cluster, TestbedError

_SUBNETS = ipaddress.IPv4Network("10.77.0.0/16")  # 256 subnets of /24, one per cluster


@contextlib.contextmanager
def machine_wide_lock(name: str, busy: str, wait_s: float) -> Iterator[None]:
    """Hold a lock that needs no file and ends with its process: a name among the kernel's abstract sockets.

    Raises:
        TestbedError: it was not free within `wait_s` seconds; `busy` is the text.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deadline, told = time.monotonic() + wait_s, False
    while True:
        try:
            lock.bind(f"\0{name}")
            break
        except OSError:
            if time.monotonic() > deadline:
                lock.close()
                raise TestbedError(busy) from None
            if not told and wait_s > 1:
                print(f"waiting: {busy}", flush=True)
                told = True
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.close()


def choose_subnet(cluster: Cluster) -> Addresses:
    """A /24 that no address or route of this machine uses, the same one again for the same folder where it can be.

    Raises:
        TestbedError: all 256 are taken.
    """
    taken = _networks_in_use()
    subnets = list(_SUBNETS.subnets(new_prefix=24))
    first = int(cluster.key, 16) % len(subnets)
    for subnet in subnets[first:] + subnets[:first]:
        if not any(subnet.overlaps(other) for other in taken):
            return Addresses(subnet)
    raise TestbedError(
        f"every /24 of {_SUBNETS} is in use on this machine (ip -4 route); end another test cluster or a VPN"
    )


def connect_shell(cluster: Cluster, addresses: Addresses, controller_pid: int) -> None:
    """Give the controller its bridge and address, and this machine one interface on it."""
    inside = _inside(controller_pid)
    _ip([*inside, "link", "add", "fabric", "type", "bridge"])
    _ip([*inside, "address", "add", f"{addresses.of(CONTROLLER)}/24", "dev", "fabric"])
    _ip([*inside, "link", "set", "fabric", "up"])
    _ip([*inside, "link", "set", "lo", "up"])
    _ip(["ip", "link", "add", cluster.interface, "type", "veth", "peer", "name", "shell", "netns", str(controller_pid)])
    _ip([*inside, "link", "set", "shell", "master", "fabric", "up"])
    _ip(["ip", "address", "add", f"{addresses.shell}/24", "dev", cluster.interface])
    _ip(["ip", "link", "set", cluster.interface, "up"])


def connect_node(addresses: Addresses, node: str, node_pid: int, controller_pid: int) -> None:
    """Plug a node into the bridge."""
    switch, inside = _inside(controller_pid), _inside(node_pid)
    _ip([*switch, "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", str(node_pid)])
    _ip([*switch, "link", "set", node, "master", "fabric", "up"])
    _ip([*inside, "address", "add", f"{addresses.of(node)}/24", "dev", "eth0"])
    _ip([*inside, "link", "set", "eth0", "up"])
    _ip([*inside, "link", "set", "lo", "up"])


def set_link(node: str, controller_pid: int, state: str) -> None:
    """Pull a node's cable (`state` "down") or plug it in again ("up")."""
    _ip([*_inside(controller_pid), "link", "set", node, state])


def link_is_cut(node: str, controller_pid: int) -> bool:
    """Whether a node's cable is pulled; True also when the node has no interface at all."""
    done = subprocess.run(
        [*_inside(controller_pid), "-json", "link", "show", "dev", node], capture_output=True, text=True, check=False
    )
    return done.returncode != 0 or "UP" not in json.loads(done.stdout)[0]["flags"]


def remove_interface(cluster: Cluster) -> None:
    """Take the shell's interface away; it goes by itself with the controller's namespace, only not at once."""
    subprocess.run(["ip", "link", "delete", cluster.interface], capture_output=True, check=False)


def _inside(pid: int) -> list[str]:
    return ["nsenter", f"--target={pid}", "--net", "ip"]


def _ip(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TestbedError(f"could not set up the cluster's network: `{' '.join(command)}` said: {done.stderr.strip()}")


def _networks_in_use() -> list[ipaddress.IPv4Network]:
    """Every IPv4 network that this machine routes or has an address in, default routes aside."""
    routes = _ip_json("-4", "route", "show", "table", "all")
    addresses = [info for link in _ip_json("-4", "address") for info in link["addr_info"]]
    texts = [route["dst"] for route in routes if route["dst"] not in ("default", "0.0.0.0/0")]
    texts += [f"{info['local']}/{info['prefixlen']}" for info in addresses]
    networks = [ipaddress.IPv4Network(text, strict=False) for text in texts]
    # A route to all of 10.0.0.0/8 (a VPN's) is narrowed by ours without harm; one inside 10.77.0.0/16 is not.
    return [network for network in networks if network.prefixlen >= _SUBNETS.prefixlen]


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return rows

"""A bystander and a talker in the room of a live server, who must not notice what a test does there."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

from tests.integration.shopfloor import Shopfloor
from tests.integration.sockets import Crowd, HubClient

_numbers = itertools.count()


class Scene:
    """The crowd of one test: names of its own, somebody who watches, somebody who talks."""

    def __init__(self, shop: Shopfloor, crowd: Crowd) -> None:
        self.shop = shop
        self.crowd = crowd
        self.number = next(_numbers)
        self.bystander = self.guest("bystander")
        self.talker = self.guest("talker")

    def name(self, name: str) -> str:
        """A person nobody was before."""
        return f"{name}-{self.number}"

    def guest(self, name: str) -> HubClient:
        """A person of this test in the room."""
        return self.shop.join(self.crowd, self.name(name))

    def host(self) -> HubClient:
        return self.shop.host(self.crowd)

    def closed(self, client: HubClient) -> tuple[int, str]:
        """How the server ended a connection."""
        self.crowd.run(lambda: client.closed is not None, f"a close; so far {dict(client.answers)}")
        assert client.closed is not None
        return client.closed

    def assert_undisturbed(self) -> None:
        """The bystander hears a line on the connection it had, was never skipped, and the books are in order."""
        line = f"你们还在吗 {self.number}"
        assert self.talker.command("chat.send", text=line).get("ok"), self.talker.answers
        self.crowd.run(lambda: any(event["text"] == line for event in self.bystander.of("chat")), "the talker's line")
        assert self.bystander.closed is None
        assert len(self.bystander.of("room")) == 1
        offsets = [event["o"] for event in self.bystander.events if "o" in event]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
        self.shop.assert_books()


@contextlib.contextmanager
def undisturbed(shop: Shopfloor) -> Iterator[Scene]:
    """A scene that is looked at again when the block is over."""
    with Crowd(shop.server.http_port) as crowd:
        scene = Scene(shop, crowd)
        yield scene
        scene.assert_undisturbed()

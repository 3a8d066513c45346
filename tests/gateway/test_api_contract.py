"""What /openapi.json says of addresses, keys, cursors and bodies of bytes is what the server does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.gateway.rig import Rig, rig
from tests.gateway.test_pictures import picture

GARBAGE = ("not a cursor", "-1", "~", "0", "'; --", "0" * 21, "U" * 20, "00000000000000000００0", "\u0000")
NEVER_MADE = "00000000000000000000"
"""Of the form of an id, and none of anything."""


async def contract_of(live: Rig) -> dict[str, Any]:
    found: dict[str, Any] = (await live.client.get("/openapi.json")).json()
    return found


def operations(contract: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path below /api/v1 with nothing that there is in its place-holders, and what is said."""
    for path, methods in contract["paths"].items():
        if path.startswith("/api/v1/"):
            for method, says in methods.items():
                yield method.upper(), path.removeprefix("/api/v1"), says


def parameter(says: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((one for one in says.get("parameters", ()) if one["name"] == name), None)


class Asker:
    """Asks with whoever is let in."""

    def __init__(self, live: Rig, tokens: list[str | None]) -> None:
        self._live, self._tokens = live, tokens

    @classmethod
    async def of(cls, live: Rig) -> Asker:
        guest = await live.guest()
        return cls(live, [live.shop.merchant_token, guest["token"], live.shop.host_token, None])

    async def __call__(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        """The answer for the first that is let in; None when nobody is."""
        path = re.sub(r"\{(\w+)\}", lambda found: self._live.shop.room if found[1] == "room" else "nosuch", path)
        for token in self._tokens:
            answer = await self._live.call(method, path, token=token, **more)
            if answer.status_code not in (401, 403):
                return answer
        return None


def refused(answer: httpx.Response, word: str) -> bool:
    """Whether this is a problem document of 400 that names ``word``."""
    told = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
    return bool(told) and (answer.status_code, told["code"]) == (400, "invalid") and word in told["detail"]


async def test_a_cursor_that_no_list_ever_gave_is_refused_by_every_list(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        asker, lists, wrong = await Asker.of(live), 0, []
        for method, path, says in operations(await contract_of(live)):
            said = parameter(says, "after")
            if method != "GET":
                continue
            lists += said is not None
            closed = False
            for name, values in {"after": GARBAGE, "before": [NEVER_MADE], "cursor": [NEVER_MADE]}.items():
                for value in values if said is not None or name != "after" else ["x"]:
                    answer = await asker(method, path, params={name: value})
                    closed = closed or answer is None
                    if answer is not None and not refused(answer, name):
                        wrong.append((path, name, value, answer.status_code))
                if closed:
                    break
        assert wrong == []
        assert lists > 50


async def test_a_cursor_of_the_form_of_ours_is_taken_though_its_row_is_gone(tmp_path: Path) -> None:
    forms = {"shows": "0ztest00", "polls": "0123456789abcdef", "overdue": f"1:{NEVER_MADE}"}
    async with rig(tmp_path) as live:
        asker, wrong, taken = await Asker.of(live), [], 0
        for method, path, says in operations(await contract_of(live)):
            said = parameter(says, "after")
            if said is None:
                continue
            value = forms.get(path.rpartition("/")[2], NEVER_MADE)
            assert re.fullmatch(said["schema"]["pattern"].strip("^$"), value), path
            for given in (value, ""):
                answer = await asker(method, path, params={"after": given})
                if answer is not None and refused(answer, "after"):
                    wrong.append((path, given, answer.text))
                taken += answer is not None and answer.status_code == 200
        assert wrong == []
        assert taken > 60


async def test_what_a_list_tells_as_its_next_is_of_the_form_that_it_takes(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        guest = await live.guest()
        line = {"sku": live.shop.products[1]["sku"], "quantity": 1, "version": 1}
        for n in range(2):
            order = {"room": live.shop.room, "lines": [line]}
            made = await live.call("POST", "/orders", order, token=guest["token"], key=f"o{n}")
            assert made.status_code == 201
        asker, walked = await Asker.of(live), set()
        for method, path, says in operations(await contract_of(live)):
            if parameter(says, "after") is None:
                continue
            answer = await asker(method, path, params={"limit": "1"})
            if answer is None or answer.status_code != 200 or isinstance(answer.json(), list):
                continue
            following = answer.json()["next"]
            if following is not None:
                rest = await asker(method, path, params={"limit": "1", "after": following})
                assert rest is not None and rest.status_code == 200, path
                assert rest.json()["items"] != answer.json()["items"], path
                walked.add(path)
        assert {"/orders", "/products", "/goods", "/people", "/books/stock", "/costs"} <= walked, walked


async def test_every_command_that_takes_a_key_says_so_and_is_refused_without_a_good_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        asker, keyed, wrong = await Asker.of(live), 0, []
        for method, path, says in operations(await contract_of(live)):
            said = parameter(says, "Idempotency-Key")
            if said is None:
                continue
            keyed += 1
            assert said["required"] and said["in"] == "header"
            most = said["schema"]["maxLength"]
            for key, word in ((None, "Idempotency-Key"), ("k" * (most + 1), str(most)), ("", str(most))):
                answer = await asker(method, path, key=key, body={})
                if answer is not None and not refused(answer, word):
                    wrong.append((method, path, key, answer.text))
            answer = await asker(method, path, key="k" * most, body={})
            if answer is not None and "Idempotency-Key" in answer.text:
                wrong.append((method, path, "good", answer.text))
        assert wrong == []
        assert keyed > 25


async def test_two_keys_in_one_request_are_none(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        token = (await live.guest())["token"]
        headers = [("authorization", f"Bearer {token}"), ("idempotency-key", "a"), ("idempotency-key", "b")]
        answer = await live.client.post("/api/v1/orders", json={}, headers=headers)
        assert refused(answer, "one Idempotency-Key")


async def test_a_moment_beyond_every_calendar_is_refused_in_queries_and_in_bodies(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        asker, wrong, asked = await Asker.of(live), [], 0
        for method, path, says in operations(await contract_of(live)):
            for one in says.get("parameters", ()):
                if one["in"] == "query" and one["schema"].get("maximum", 0) > 10**12:
                    for value in (one["schema"]["maximum"] + 1, 999_999_999_999_999):
                        answer = await asker(method, path, params={one["name"]: str(value)})
                        asked += answer is not None
                        if answer is not None and not refused(answer, one["name"]):
                            wrong.append((path, one["name"], answer.text))
                    last = await asker(method, path, params={one["name"]: str(one["schema"]["maximum"])})
                    if last is not None and last.status_code >= 500:
                        wrong.append((path, one["name"], last.text))
        assert wrong == []
        assert asked > 20


async def test_405_names_every_method_of_an_address(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        paths, alone = (await contract_of(live))["paths"], 0
        for path, methods in paths.items():
            asked = re.sub(r"\{\w+\}", "x", path)
            if sum(re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one), asked) is not None for one in paths) > 1:
                # Of ``/credit/export`` and ``/credit/{person}`` the one that has the method answers.
                continue
            alone += 1
            theirs = {method.upper() for method in methods}
            missing = next(m for m in ("PUT", "PATCH", "DELETE", "POST", "GET") if m not in theirs)
            answer = await live.client.request(missing, asked)
            assert (answer.status_code, answer.json()["code"]) == (405, "method"), path
            allowed = set(answer.headers["allow"].split(", "))
            assert allowed - {"HEAD"} == theirs and ("HEAD" in allowed) == ("GET" in theirs), path
        assert alone > 300


async def test_every_body_of_bytes_has_its_types_and_its_most_bytes(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        asker, checked = await Asker.of(live), set()
        for method, path, says in operations(await contract_of(live)):
            for kind, what in says.get("requestBody", {}).get("content", {}).items():
                most = what["schema"].get("maxLength")
                if most is None:
                    assert kind == "application/json" and what["schema"], path
                    continue
                answer = await asker(method, path, content=bytes(most + 1))
                if answer is not None:
                    assert (answer.status_code, answer.json()["code"]) == (413, "too_long"), (path, answer.text)
                    checked.add(path)
        assert {"/custom/pictures", "/goods/import", "/board/costs", "/people/import"} <= checked, checked
        assert {"/payments/{provider}", "/rooms/{room}/commands"} <= checked, checked


async def test_a_picture_is_taken_in_each_type_that_the_contract_names(tmp_path: Path) -> None:
    codecs = {"image/jpeg": "mjpeg", "image/png": "png", "image/webp": "libwebp"}
    async with rig(tmp_path) as live:
        said = (await contract_of(live))["paths"]["/api/v1/custom/pictures"]["post"]["requestBody"]
        assert said["required"] and set(said["content"]) == set(codecs)
        guest = (await live.guest())["token"]
        for kind, codec in codecs.items():
            headers = {"authorization": f"Bearer {guest}", "content-type": kind}
            address = f"/api/v1/custom/pictures?room={live.shop.room}"
            answer = await live.client.post(address, content=picture(codec=codec), headers=headers)
            assert answer.status_code == 201, (kind, answer.text)

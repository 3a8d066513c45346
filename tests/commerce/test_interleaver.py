"""Every pair of operations through every transaction boundary: the audit is clean, the money is where both sides say.

Each operation alone first: it succeeds, and together they send every command that the ledger knows. Then two at a time,
in every order of their transactions, and with one's process killed after each of its transactions and asked again.
"""

import gc
import itertools
import random
from collections.abc import Iterator, Sequence

import pytest

from commerce.errors import CommerceError
from tests.commerce.crowded_desk import OPERATIONS
from tests.commerce.crowded_run import alone, tried
from tests.commerce.crowded_site import PostgresSite, Site, SqliteSite
from tests.postgres import Cluster, need_postgres

EVERY_PAIR = list(itertools.combinations_with_replacement(sorted(OPERATIONS), 2))
PARTS = 48
"""Of all pairs, each a test of its own of about a minute: so they can be parted, and gone on with."""
COLLECT_EVERY = 50
"""Pairs between two collections of what circles: a run leaves thousands of objects, and looking through them costs."""
POSTGRES_PAIRS, POSTGRES_PARTS = 300, 6


def pairs_of(count: int, seed: int) -> list[tuple[str, str]]:
    """Some pairs, others by another seed; each operation is with itself in some."""
    return random.Random(seed).sample(EVERY_PAIR, count)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Site]:
    """The crowded shop in a file."""
    site = SqliteSite()
    yield site
    site.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Site]:
    """The crowded shop in a cluster of its own, which may forget: what a power cut leaves is the hammer's matter."""
    own = Cluster(need_postgres(), settings=("fsync=off", "full_page_writes=off"))
    own.start()
    own.template()
    site = PostgresSite(own)
    yield site
    site.close()
    own.close()


def test_each_operation_succeeds_alone_and_together_they_are_all_commands_of_the_ledger(sqlite: Site) -> None:
    found = {}
    for name in OPERATIONS:
        found[name] = alone(sqlite, name)
        unseen = sqlite.unseen()
        assert not unseen, f"{name} wrote to {unseen}: crowded_state does not see by which statement"
    refused = {name: answer for name, (answer, _) in found.items() if isinstance(answer, CommerceError)}
    assert not refused, "an operation that is refused tries nothing: see how crowded_shop furnishes the shop"
    done = set[type]().union(*(commands for _, commands in found.values()))
    missing = {command.__name__ for command in sqlite.known - done}
    assert not missing, f"the interleaver does not know {missing}: add an operation to crowded_shop or crowded_back"


def test_some_pairs_of_operations_leave_the_books_right_in_every_order(sqlite: Site) -> None:
    for one, other in pairs_of(5, 1):
        assert tried(sqlite, one, other) > 1


def test_some_pairs_of_operations_on_two_processes_leave_the_books_right(cluster: Cluster) -> None:
    site = PostgresSite(cluster)
    try:
        for one, other in pairs_of(1, 2):
            assert tried(site, one, other) > 1
    finally:
        site.close()


def hold_in(site: Site, pairs: Sequence[tuple[str, str]]) -> None:
    """Try pairs; whatever is wrong is told at the end, so that one fault does not hide others."""
    runs, wrong = 0, []
    gc.freeze()
    gc.disable()
    try:
        for n, (one, other) in enumerate(pairs):
            if n % COLLECT_EVERY == 0:
                gc.collect()
            try:
                runs += tried(site, one, other)
            except (AssertionError, TimeoutError) as error:
                wrong.append(f"{one} with {other}: {error!r}")
    finally:
        gc.enable()
        gc.unfreeze()
    print(f"{len(pairs)} pairs, {runs} runs, {len(site.at_rest)} states, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_every_pair_of_operations_leaves_the_books_right_in_every_order(sqlite: Site, part: int) -> None:
    hold_in(sqlite, EVERY_PAIR[part::PARTS])


@pytest.mark.soak
@pytest.mark.parametrize("part", range(POSTGRES_PARTS))
def test_hundreds_of_pairs_of_operations_on_two_processes_leave_the_books_right(postgres: Site, part: int) -> None:
    hold_in(postgres, pairs_of(POSTGRES_PAIRS, 3)[part::POSTGRES_PARTS])

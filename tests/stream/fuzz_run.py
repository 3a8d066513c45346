"""Fuzz one target, guided by coverage: `python -m tests.stream.fuzz_run TARGET CORPUS [-max_total_time=60 …]`.

CORPUS is a folder, to which the captures are added. The options are libFuzzer's. An input that breaks something is left
as a file where -artifact_prefix says: it becomes a test of its own when the fault is mended.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stream"]):
    from tests.stream.fuzz_targets import TARGETS


def main() -> None:
    name, corpus, *options = sys.argv[1:]
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (Path(corpus) / f"capture-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], corpus, *options], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""The mini-program sample as a ZIP archive: ``gateway/miniprogram`` with the SDK beside it, for this server.

A mini-program takes no file from outside its own folder, so the SDK of the pages is put into ``lib/`` here instead of
lying in the repository twice. Unpacked, the folder opens in WeChat's developer tools as it is.
"""

from __future__ import annotations

import io
import json
from importlib import resources
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

SDK_FILES = (
    "siyu.js", "siyu_platform.js", "store.js", "keeping.js", "handing.js", "paying_ways.js", "draw_proof.js"
)  # fmt: skip
"""What the pages and the mini-program share."""
FOLDER = "siyu-miniprogram"
# ZIP knows no time before 1980 (APPNOTE 4.4.6): one that is always the same gives the same bytes for the same files.
_STAMP = (1980, 1, 1, 0, 0, 0)


def sample_folder() -> Path:
    """Where the sample's own files lie, in a checkout and in an installed wheel alike."""
    return Path(str(resources.files("gateway") / "miniprogram"))


def sample_files(base: str, room: str) -> dict[str, bytes]:
    """The files of the sample by path: for the server at ``base``, opening ``room`` when the address names none."""
    folder = sample_folder()
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    web = folder.parent / "web"
    files |= {f"lib/{name}": (web / name).read_bytes() for name in SDK_FILES}
    config = files["config.js"].decode()
    for name, value in (("BASE", base), ("ROOM", room)):
        before, mark, rest = config.partition(f"export const {name} = ")
        config = f"{before}{mark}{json.dumps(value)};\n{rest.partition(chr(10))[2]}"
    return files | {"config.js": config.encode()}


def sample_archive(base: str, room: str) -> bytes:
    """The same as a ZIP archive with one folder in it."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, data in sorted(sample_files(base, room).items()):
            entry = ZipInfo(f"{FOLDER}/{name}", _STAMP)
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()

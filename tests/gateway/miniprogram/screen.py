"""A page of the mini-program as a page of HTML: its WXML and data through j-component, its WXSS as CSS."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.gateway.miniprogram.phone import node
from tests.outside import npm_package

RENDER = Path(__file__).with_name("render.mjs")
RENDER_S = 60
WIDTH_RPX = 750
"""Every phone is so many rpx wide (WXSS)."""

# What WeChat's components look like before a page says otherwise.
DEFAULTS = """
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.4 -apple-system, "Noto Sans CJK SC", sans-serif; }
wx-view, wx-scroll-view, wx-picker, wx-page { display: block; }
wx-scroll-view { overflow: auto; }
wx-page { height: 100%; }
wx-button { display: block; position: relative; text-align: center; overflow: hidden; white-space: nowrap;
  box-sizing: border-box; line-height: 2.5; padding: 0 14px; border-radius: 5px; background: #f8f8f8; }
wx-button:has(.b-mini) { display: inline-block; font-size: 13px; line-height: 2.3; }
wx-button:has(.d-1) { opacity: .45; }
wx-image { display: inline-block; overflow: hidden; width: 320px; height: 240px; }
wx-image img { display: block; width: 100%; height: 100%; object-fit: cover; }
wx-image img.m-aspectFit { object-fit: contain; }
wx-image img.m-widthFix { height: auto; }
wx-input { display: flex; align-items: center; overflow: hidden; white-space: nowrap; }
wx-textarea { display: block; }
wx-switch { width: 52px; height: 32px; border-radius: 16px; background: #fdfdfd; border: 1px solid #dfdfdf; }
wx-switch:has(.knob-1) { background: #07c160; }
"""
_SHOW_PICTURES = """
for (const one of document.querySelectorAll("img[data-src]")) one.src = one.dataset.src;
"""


def stylesheet(text: str) -> str:
    """WXSS as CSS: rpx are shares of the width, components go by ``wx-NAME``, ``page`` is the body."""
    text = re.sub(r"(-?[\d.]+)rpx", lambda found: f"{float(found[1]) * 100 / WIDTH_RPX:.4f}vw", text)
    text = re.sub(r'button\[size="mini"\]', "button:has(.b-mini)", text)
    text = re.sub(r"(\.[\w-]+)\[disabled\]", r"\1:has(.d-1)", text)
    text = re.sub(r"(^|[\s,])(button|input|switch)(?=[\s,:.{])", r"\1wx-\2", text, flags=re.MULTILINE)
    return re.sub(r"^page(?=[\s,{])", "body", text, flags=re.MULTILINE)


def as_html(sample: Path, page: str, data: dict[str, Any]) -> str:
    """The document of one page with what it shows."""
    packages = [npm_package("j-component", "1.4.10"), npm_package("jsdom", "29.1.1")]
    wxml = (sample / f"{page}.wxml").read_text("utf-8")
    done = subprocess.run(
        [node(), str(RENDER), *map(str, packages)],
        input=json.dumps({"wxml": wxml, "data": data}),
        capture_output=True,
        text=True,
        timeout=RENDER_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own = sample / f"{page}.wxss"
    styles = stylesheet((sample / "app.wxss").read_text("utf-8"))
    styles += stylesheet(own.read_text("utf-8")) if own.is_file() else ""
    head = f'<meta charset="utf-8"><style>{DEFAULTS}{styles}</style>'
    return f"<!DOCTYPE html><html><head>{head}</head><body>{done.stdout}<script>{_SHOW_PICTURES}</script></body></html>"

"""The tables of the shop's database, whichever module of commerce they stand in."""

from importlib import import_module
from pkgutil import iter_modules

import commerce
from commerce.tables import metadata as metadata

for _module in iter_modules(commerce.__path__, "commerce."):
    if _module.name.startswith("commerce.tables_"):
        import_module(_module.name)

#!/usr/bin/env python3
"""The CRCs of the binary API's messages, and the file that keeps them: docs/api.md, "Versions".

As a program it writes vpp-plugin/maglev.api.crcs anew, from vpp-plugin/maglev.api and build/maglev.api.json."""

import json
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
API = os.path.join(TOP, "vpp-plugin", "maglev.api")
CRCS = os.path.join(TOP, "vpp-plugin", "maglev.api.crcs")
HEAD = (
    "# The binary API's version, the hash of its text without comments, and VPP's CRC of each message "
    '(docs/api.md, "Versions").'
)


def kept():
    """First word to second of the file; empty where there is none."""
    try:
        with open(CRCS, encoding="utf-8") as f:
            return dict(line.split() for line in f if not line.startswith("#"))
    except FileNotFoundError:
        return {}


def of_json(path):
    """{message: CRC} as vppapigen made them."""
    with open(path, encoding="utf-8") as f:
        return {m[0]: m[-1]["crc"] for m in json.load(f)["messages"]}


def text_and_version():
    """The hash (FNV-1a, 64 bits) of the file without comments and version, and the version."""
    with open(API, encoding="utf-8") as f:
        bare = " ".join(re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.DOTALL).split())
    option = re.search(r'option version = "([^"]+)"\s*;', bare)
    value = 0xCBF29CE484222325
    for b in (bare[: option.start()] + bare[option.end() :]).encode():
        value = ((value ^ b) * 0x100000001B3) % (1 << 64)
    return "%016x" % value, option[1]


def main():
    text, version = text_and_version()
    crcs, old = of_json(os.path.join(TOP, "build", "maglev.api.json")), kept()
    new = {"version": version, "text": text, **crcs}
    if old.get("version") == version and old != new:
        sys.exit("version %s is kept with other messages: raise `option version` in %s" % (version, API))
    with open(CRCS, "w", encoding="utf-8") as f:
        f.write("\n".join([HEAD] + ["%s %s" % item for item in new.items()]) + "\n")


if __name__ == "__main__":
    main()

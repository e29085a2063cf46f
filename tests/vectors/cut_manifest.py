"""Cuts a manifest of reference vectors to the files that are kept here: python3 cut_manifest.py FOLDER_WITH_ALL_OF_THEM"""

import json
import pathlib
import sys

here = pathlib.Path(__file__).parent
whole = json.loads((pathlib.Path(sys.argv[1]) / "manifest.json").read_text())
kept = {name: entry for name, entry in whole.items() if (here / name).is_file()}
lines = [f"{json.dumps(name)}: {json.dumps(entry, separators=(',', ':'))}" for name, entry in sorted(kept.items())]
(here / "manifest.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")

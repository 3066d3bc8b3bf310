"""Lets the programs of a virtual environment start the python beside them, wherever
the folder is moved to: relocate.py FOLDER. pip writes the path of the day into them."""

import os
import re
import shutil
import sys

# The two forms that pip writes: the second where the path is long or has spaces.
LAUNCHER = re.compile(rb"""#!([^\n]*/bin/python[\d.]*|/bin/sh\n'''exec' [^\n]*/bin/python[\d.]*"? "\$0" "\$@"\n' ''')\n""")
RELATIVE = b"""#!/bin/sh
'''exec' "$(dirname -- "$0")/python" "$0" "$@"
' '''
"""

for entry in os.scandir(sys.argv[1]):
    if entry.is_symlink() or not entry.is_file():
        continue
    with open(entry.path, "rb") as file:
        text = file.read() if file.read(2) == b"#!" else b""
    match = LAUNCHER.match(b"#!" + text)
    if match:
        replacement = entry.path + ".new"
        with open(replacement, "wb") as file:
            file.write(RELATIVE + text[match.end() - 2:])
        shutil.copymode(entry.path, replacement)
        os.replace(replacement, entry.path)

"""Sets constants of notebooks from outside, as papermill does: the cell tagged
'parameters' holds the defaults, one declaration a line, and a cell after it
declares the given ones again.

    const (
        Records = 1_000_000 // how many
        Topic   = "nyc_taxi_data"
    )
"""

import json
import re

from nbformat.v4 import new_code_cell

BLOCK = re.compile(r"^(const|var)\s*\($")
DECLARATION = re.compile(r"""^(?:(const|var)\s+)?(\w+)(\s+[\w.]+)?\s*=\s*("[^"]*"|`[^`]*`|[^/]+?)\s*(//.*)?$""")
# What can stand for a number, a truth value or a time: 20_000, -1.5, true, 5*time.Second
EXPRESSION = re.compile(r"^-?[\w.]+(\s*\*\s*[\w.]+)?$")


def inject(notebooks, assignments):
    """Puts NAME=VALUE assignments into the notebooks that have a parameter of
    that name. ValueError when none has it, or when Go could not read the value."""
    values = {}
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator:
            raise ValueError(f"parameter {assignment!r} is not of the form NAME=VALUE")
        values[name] = value

    declared = set()
    for notebook in notebooks:
        for index, cell in reversed(list(enumerate(notebook.cells))):
            if "parameters" not in cell.metadata.get("tags", []):
                continue
            found = parameters_of(cell.source)
            declared |= found.keys()
            lines = [declaration(name, *found[name], values[name]) for name in found if name in values]
            if lines:
                injected = new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
                notebook.cells.insert(index + 1, injected)

    unknown = sorted(values.keys() - declared)
    if unknown:
        raise ValueError(f"no notebook has a parameter {', '.join(unknown)}; there are: "
                         f"{', '.join(sorted(declared)) or 'none'}")


def parameters_of(source):
    """Maps each name declared in a cell to its keyword, type and default."""
    found = {}
    block = None
    for line in map(str.strip, source.splitlines()):
        opening = BLOCK.match(line)
        if opening:
            block = opening[1]
        elif line == ")":
            block = None
        else:
            match = DECLARATION.match(line)
            if match and (match[1] or block):
                found[match[2]] = (match[1] or block, match[3] or "", match[4])
    return found


def declaration(name, keyword, type_name, default, value):
    if default[0] in "\"`":
        value = json.dumps(value, ensure_ascii=False)
    elif not EXPRESSION.match(value):
        raise ValueError(f"parameter {name}={value!r}: its default is {default}, so a number, true, false "
                         "or a product such as 5*time.Second is needed")
    return f"{keyword} {name}{type_name} = {value}"

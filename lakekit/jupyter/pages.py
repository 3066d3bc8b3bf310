"""Turns executed notebooks into HTML pages that need no network: nothing comes
from a content delivery network, and echarts, once in the head of a page with
charts, makes them live."""

import os
import re
from html.parser import HTMLParser

from nbconvert import HTMLExporter

HERE = os.path.dirname(os.path.abspath(__file__))


def title_of(notebook):
    """The first heading of the notebook, or None."""
    for cell in notebook.cells:
        match = cell.cell_type == "markdown" and re.search(r"^# +(.+?) *$", cell.source, re.MULTILINE)
        if match:
            return match[1]
    return None


def write_page(notebook, name, lessons, source, folder, echarts):
    """Writes folder/name.html. lessons are (name, title) pairs in their order,
    to link between; source is the notebook's folder, for its pictures; echarts
    is the path of the script. ValueError when the page would load something
    from elsewhere."""
    resources = {
        "metadata": {"name": dict(lessons).get(name, name), "path": source},
        "lessons": lessons,
        "lesson": name,
        "echarts": "",
    }
    exporter = HTMLExporter(extra_template_basedirs=[os.path.join(HERE, "templates")], template_name="lesson")
    exporter.embed_images = True
    if any("lakekit-chart" in str(output) for cell in notebook.cells for output in cell.get("outputs", [])):
        with open(echarts, encoding="utf-8") as file:
            resources["echarts"] = file.read().replace("</script", "<\\/script")
    body, _ = exporter.from_notebook_node(notebook, resources=resources)

    names = "|".join(re.escape(other) for other, _ in lessons)
    body = re.sub(rf'href="(?:\./)?({names})\.ipynb(#[^"]*)?"',
                  lambda match: f'href="{match[1]}.html{match[2] or ""}"', body)

    loads = external_loads(body)
    if loads:
        raise ValueError(f"the page of {name} would load {', '.join(loads)}")
    with open(os.path.join(folder, name + ".html"), "w", encoding="utf-8") as file:
        file.write(body)


def external_loads(page):
    """The addresses outside of the page that a browser would load by itself."""
    finder = LoadFinder()
    finder.feed(page)
    return finder.loads


class LoadFinder(HTMLParser):
    def __init__(self):
        super().__init__()
        self.loads = []
        self.style = False

    def handle_starttag(self, tag, attributes):
        self.style = tag == "style"
        for name, value in attributes:
            loading = name in ("src", "srcset", "poster", "data") or (tag == "link" and name == "href")
            if loading and re.match(r"\s*(https?:)?//", value or ""):
                self.loads.append(value)
            if name == "style":
                self.handle_css(value or "")

    def handle_endtag(self, tag):
        self.style = False

    def handle_data(self, data):
        if self.style:
            self.handle_css(data)

    def handle_css(self, css):
        self.loads += re.findall(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", css)

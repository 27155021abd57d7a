"""A page from a template: jinja2, with the template compiled when the code is loaded."""

import pathlib

from jinja2 import Environment, FileSystemLoader, select_autoescape

HERE = pathlib.Path(__file__).parent
PAGE = Environment(loader=FileSystemLoader(HERE), autoescape=select_autoescape(default=True),
                   trim_blocks=True, lstrip_blocks=True).get_template("page.html")


def handler(event, context):
    return {"html": PAGE.render(title=event["title"], rows=event["rows"])}

"""The book, built without a network by `sphinx-build -W -b html notebooks site`."""

import datetime
import os
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

import ddm2snn

project = "ddm2snn"
author = "The ddm2snn developers"
release = version = ddm2snn.__version__
# a build is the same on every day where SOURCE_DATE_EPOCH says which
built = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), tz=datetime.UTC)
copyright = author if built.year == 1970 else f"{built.year}, {author}"  # Sphinx wants this name

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**.ipynb_checkpoints"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # links such as guide.md#conversion
nb_execution_mode = "off"  # the stored outputs are shown; execute.py makes them, tests hold them to their code
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures have them
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_attr_annotations = False  # signatures have them, and "*trial" in one reads as emphasis
napoleon_use_rtype = False
default_role = "code"  # in docstrings a single backtick marks code

html_theme = "furo"
html_title = f"ddm2snn {version}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"


def _mathml(node: nodes.math | nodes.math_block) -> str:
    r"""Formula of a node without what the converter does not know: \textstyle and sizes of brackets."""
    formula = re.sub(r"\\(?:textstyle|[bB]igg?[lrm]?)(?![a-zA-Z])", "", node.astext()).strip()
    if r"\\" in formula and r"\begin" not in formula:
        formula = rf"\begin{{aligned}} {formula} \end{{aligned}}"
    try:
        drawn = tex2mathml(formula, as_block=isinstance(node, nodes.math_block))
        return drawn.replace("˙", ".")  # the dot of a derivative, which fonts for formulas lack
    except MathError as error:
        logging.getLogger(__name__).warning("%s in %s", error, formula, location=node)
        return formula


def _inline(translator: nodes.NodeVisitor, node: nodes.math) -> None:
    translator.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(translator: nodes.NodeVisitor, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_mathml(node)}</div>\n')
    raise nodes.SkipNode


def _accessible(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Give what scrolls a place among the stops of the keyboard, and captions their level as headings."""
    for part in ("body", "furo_navigation_tree"):
        html = context.get(part) or ""
        html = html.replace("<pre>", '<pre tabindex="0">').replace('role="heading">', 'role="heading" aria-level="2">')
        context[part] = re.sub('<div class="(?=(?:math|table)-wrapper)', '<div tabindex="0" class="', html)


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which browsers draw themselves: no script, no font and no network."""
    app.connect("html-page-context", _accessible, priority=900)  # after the theme's own
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))

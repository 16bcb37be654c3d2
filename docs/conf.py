"""Sphinx configuration: the pages of this folder and the docstrings of the package. ``make docs`` builds them.

Nothing is fetched, while building or by the built pages: no intersphinx, fonts of the system, formulae as MathML.
"""
from pathlib import Path

from docutils.nodes import Element, SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from mmpartref import __version__

project = 'mmpartref'
author = 'mmpartref contributors'
project_copyright = author
version = release = __version__

extensions = ['myst_nb', 'sphinx.ext.autodoc', 'sphinx.ext.autosummary', 'sphinx.ext.napoleon', 'sphinx_copybutton',
              'sphinx_design']
exclude_patterns = ['_build']
templates_path = ['_templates']
nitpicky = True
# Names of other packages in annotations: no inventory of their documentation is fetched.
nitpick_ignore_regex = [(r'py:.*', r'(?!mmpartref).*')]

# ::: is for the grids and tabs of sphinx_design.
myst_enable_extensions = ['amsmath', 'colon_fence', 'deflist', 'dollarmath']
# Anchors of headings as GitHub makes them, so that links work in both.
myst_heading_anchors = 4

# The tutorial runs when it has changed; an error in it is one of the build.
nb_execution_mode = 'cache'
nb_execution_cache_path = str(Path(__file__).parent / '_build' / 'notebooks')
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900

# One page for each name of a package; those of a module stay on the package's page.
autosummary_generate = True
autosummary_imported_members = True
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [('Data', 'params_style')]

# Language of code blocks without one.
highlight_language = 'none'

html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['site.css']
html_title = f'mmpartref {release}'
html_copy_source = False
html_show_sphinx = False
html_math_renderer = 'mathml'


def inline_math(writer: HTML5Translator, node: Element) -> None:
    """Write a formula as MathML, which browsers draw without a script."""
    formula = tex2mathml(node.astext(), as_block=False)
    for brace in '{}':
        # Those that TeX would not stretch either.
        formula = formula.replace(f'<mo>{brace}</mo>', f'<mo stretchy="false">{brace}</mo>')
    writer.body.append(formula)
    raise SkipNode


def block_math(writer: HTML5Translator, node: Element) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer('mathml', (inline_math, None), (block_math, None))
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

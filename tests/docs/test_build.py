"""The site as mkdocs builds it, strictly: a warning is an error."""

import html
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from documentation import ROOT, pages

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("material"), reason="mkdocs-material is not installed: pip install --group docs"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built(site):
    built = {page.removesuffix("index.md").removesuffix(".md") for page in pages()}
    assert [page for page in sorted(built) if not (site / page / "index.html").is_file()] == []
    assert not (site / "figures").exists()
    assert list(site.rglob("*.py")) == []


def test_pages_show_tables_options_and_code(site):
    verdicts = (site / "explanations" / "verdicts" / "index.html").read_text()
    assert "<td>iid, CV 3.0%</td>" in verdicts
    assert 'id="history-slower"' in verdicts
    options = (site / "reference" / "options" / "index.html").read_text()
    assert 'id="sd-against-control"' in options
    left = [file for file in site.rglob("*.html") if "<!-- generated" in file.read_text() or "--8&lt;--" in file.read_text()]
    assert left == []


def test_a_reader_asks_no_other_host(site):
    """Styles, scripts, fonts and pictures are the site's own."""
    page = html.unescape("".join((site / name / "index.html").read_text() for name in ("", "contributing", "explanations/verdicts")))
    loaded = re.findall(r'<(?:script|img|source)[^>]*\ssrc="?([^"\s>]+)', page) + re.findall(r'<link[^>]*rel="?stylesheet"?[^>]*', page)
    assert loaded
    assert [source for source in loaded if "//" in source] == []

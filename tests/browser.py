"""Opens pages in headless Chromium, and says what is wrong with them."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium")
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")


@dataclass
class Visit:
    """An open page, with the errors and warnings it logged and the addresses it asked for."""

    page: object
    errors: list = field(default_factory=list)
    requests: list = field(default_factory=list)


@contextmanager
def chromium():
    """The one tab of a browser, which has read axe-core once; without its sandbox, which a container's root cannot have."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


@contextmanager
def visit(tab, path, size="desktop", scheme="light"):
    """A page opened from disk, until the next one is."""
    width, height = SIZES[size]
    visited = Visit(tab)
    watched = {
        "console": lambda said: visited.errors.append(said.text) if said.type in ("error", "warning") else None,
        "pageerror": lambda error: visited.errors.append(str(error)),
        "request": lambda request: visited.requests.append(request.url),
    }
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(color_scheme=scheme, media="screen")
    for event, note in watched.items():
        tab.on(event, note)
    tab.goto(path.as_uri())
    try:
        yield visited
    finally:
        for event, note in watched.items():
            tab.remove_listener(event, note)
        tab.goto("about:blank")


@contextmanager
def planting(tab, folder):
    """Opens pages on a phone with a fault planted in each: ``old`` becomes ``new``, once."""
    with ExitStack() as visits:

        def plant(source, old, new):
            assert old in source
            spoiled = folder / "spoiled.html"
            spoiled.write_text(source.replace(old, new, 1), encoding="utf-8")
            visits.close()
            return visits.enter_context(visit(tab, spoiled, "phone")), spoiled

        yield plant


def without_policy(source):
    """A page whose content security policy does not shield it from what a test plants."""
    return re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", source)


def strange_requests(visited, path):
    """Addresses asked for besides the file's own."""
    return [address for address in visited.requests if address != path.as_uri()]


def broken_pictures(visited):
    """What the pictures show that could not be loaded."""
    return visited.page.eval_on_selector_all("img", "images => images.filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.alt)")


def told_rows(visited):
    """(table, setup, verdict, speed-up) as the table rows tell programs; a row that no test asked for has no verdict."""
    read = "rows => rows.map(r => [r.dataset.table || null, r.dataset.setup, r.dataset.verdict, r.dataset.speedup])"
    return [tuple(row) for row in visited.page.eval_on_selector_all("tr[data-verdict]", read)]


def shown_verdicts(visited):
    """(setup, verdict) as the table rows tell people."""
    read = "rows => rows.map(r => [r.querySelector('th').textContent, r.querySelector('.verdict').textContent])"
    return [tuple(row) for row in visited.page.eval_on_selector_all("tr[data-verdict]", read)]


def told_kinds(visited):
    """(setup, kind) of every history, as told to programs."""
    read = "parts => parts.map(p => [p.dataset.setup, p.dataset.kind])"
    return [tuple(part) for part in visited.page.eval_on_selector_all("article[data-kind]", read)]


def shown_kinds(visited):
    """(setup, kind) of every history, as told to people."""
    read = "parts => parts.map(p => [p.querySelector('h4').firstChild.textContent.trim(), p.querySelector('.kind').textContent])"
    return [tuple(part) for part in visited.page.eval_on_selector_all("article[data-kind]", read)]


def barriers(visited):
    """Serious and critical findings of axe-core: the rule, and where it is broken."""
    found = Axe().run(visited.page).response["violations"]
    return [
        (finding["id"], [node["target"] for node in finding["nodes"]]) for finding in found if finding["impact"] in ("serious", "critical")
    ]


def overflow(visited):
    """Pixels by which the page is wider than its window."""
    return visited.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def keyboard_faults(visited, place=0):
    """What a keyboard cannot do with a picture: open it with Enter and Space, step on, close it, and be back where it was."""
    page = visited.page
    button = page.locator("button.picture").nth(place)
    faults = []
    for key in ("Enter", "Space"):
        button.focus()
        page.keyboard.press(key)
        if not page.locator("dialog").evaluate("dialog => dialog.open"):
            return [f"{key} does not open the picture"]
        large, alt = page.locator("dialog img"), button.locator("img").get_attribute("alt")
        if large.get_attribute("alt") != alt or page.locator("dialog .what").text_content() != alt:
            faults.append("the enlarged picture does not say what it is")
        if not large.evaluate("image => image.naturalWidth > 0"):
            faults.append("the enlarged picture is not loaded")
        if large.bounding_box()["width"] <= button.locator("img").bounding_box()["width"]:
            faults.append("the enlarged picture is not larger")
        page.keyboard.press("Escape")
        if page.locator("dialog").evaluate("dialog => dialog.open"):
            faults.append("Escape does not close the picture")
        if not button.evaluate("button => button === document.activeElement"):
            faults.append("the focus does not return")
    return faults

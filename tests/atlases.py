"""Tables and rows for pages of the atlas, made without files."""

from pytest_sdspeed.model import Claim, Recipe, Row, Spread, Stated, Table
from pytest_sdspeed.model.contradictions import Contradiction
from pytest_sdspeed.report.atlas.entries import Findings, join_entries
from pytest_sdspeed.report.atlas.render import render_atlas

RECIPE = Recipe(model="org/model", prompt="a dog", height=512, width=512, steps=50, scheduler=None)


def row(setup, speedup=1.5, **facts):
    """A row against the row ``base``."""
    return Row(**{"setup": setup, "optimizations": ("fp16",), "baseline": "base", "recipe": RECIPE, "speedup": speedup} | facts)


def table(*rows, name="t", **facts):
    """A table with the baseline ``base`` (6 seconds) before other rows."""
    base = row("base", 1, optimizations=(), latency_s=6.0)
    fixed = {"title": "A title", "source": "https://example.org/page", "device": "NVIDIA A100", "path": f"{name}.toml"}
    return Table(**{"name": name, "rows": (base, *rows)} | fixed | facts)


def recorded(*rows, name="t", device="NVIDIA H200", **facts):
    """What was measured of a table."""
    said = {"kind": "cuda", "date": "2026-11-23T08:52:31+00:00", "weights": "random", "version_torch": "2.13.0"}
    return table(*rows, name=name, device=device, path=f"{name}-{device[-4:]}.toml", recorded=said, **facts)


def spread(low, high):
    return Spread(blocks=9, low=low, high=high, sd=0.01, quartiles_s=(1, 1, 1))


def contradiction(setup="fast", message="6 s over 2 s is x3, not x4", **facts):
    """One about a row of the table ``t``, which its file does not acknowledge."""
    return Contradiction(
        **{"rule": "speedup", "table": "t", "path": "t.toml", "key": "rows[1]", "setup": setup, "message": message} | facts
    )


def page(*tables, **findings):
    """The page of tables and of what is known of them."""
    return render_atlas(join_entries(tables, Findings(**findings)))


def hostile_table(text):
    """A table in which every text that a user writes is ``text``; names cannot be."""
    told = {
        "notes": text,
        "unsupported": text,
        "optimizations": (text,),
        "stated": (Stated(where=text, text=text),),
        "recipe": Recipe(model=text, prompt=text, height=1, width=1, steps=1, scheduler=text, call={text: text}, parts={"lora": text}),
    }
    claim = Claim(text=text, kind="defaults", defaults={"x": text}, notes=text)
    return table(row("fast", **told), title=text, source=text, device=text, notes=(text,), claims=(claim,), path=text)

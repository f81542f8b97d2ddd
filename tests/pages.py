"""A page taken apart: its tags, attributes, text and table rows."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input"}


class Page(HTMLParser):
    """What a page is made of; a page that is not well formed is refused.

    Attributes:
        tags: in order; attributes: (tag, name, value); data: the text outside of scripts and style sheets, a piece each.
        rows: data attributes and cells of each table row that has some.
        headings: levels, in order; ids: in order.
    """

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.data, self.rows, self.headings, self.ids = [], [], [], [], [], []
        self._open = []
        self.feed(source)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag in {"h1", "h2", "h3", "h4", "h5", "h6"}:
            self.headings.append(int(tag[1]))
        if tag == "tr":
            self.rows.append(({name: value for name, value in attributes if name.startswith("data-")}, []))
        if tag in {"td", "th"}:
            self.rows[-1][1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if {"script", "style"} & set(self._open):
            return
        self.data.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][1][-1] += data

    def values(self, name, tag=None):
        """Every value of an attribute, of one kind of tag or of all."""
        return [value for found, key, value in self.attributes if key == name and tag in (None, found)]

"""Reads the form of a page, as a browser would fill and send it."""

from __future__ import annotations

from html.parser import HTMLParser


class Form(HTMLParser):
    """The one form of class "core": what a browser would send of it, and its messages."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.messages: list[str] = []
        self._inside = False
        self._name: str | None = None
        self._message = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag == "form" and "core" in (found.get("class") or ""):
            self._inside, self.action = True, found["action"] or ""
        self._message = found.get("class") == "message-error"
        if not self._inside or not found.get("name"):
            return
        if tag == "textarea":
            self._name = found["name"]
            self.fields[str(found["name"])] = ""
        elif found.get("type") != "checkbox" or "checked" in found:
            self.fields[str(found["name"])] = found.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        self._name = None
        self._message = False
        if tag == "form":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._name:
            self.fields[self._name] += data.removeprefix("\n").replace("\n", "\r\n")
        elif self._message:
            self.messages.append(data)

"""Local links of a built site that lead nowhere, with exit code 1: `python notebooks/site_links.py site`."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Places of a page, and what it links to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the names of a tag, and its links."""
        for name, value in attrs:
            if name in ("id", "name"):
                self.places.add(value or "")
            elif value and name in ("href", "src"):
                self.links.add(value)


def broken(site: Path) -> list[str]:
    """Links of every page to a file or a place of the site that does not exist."""
    pages = {path.resolve(): _Page(path) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        for link in sorted(page.links):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            there = target.exists() and (
                not url.fragment or target not in pages or unquote(url.fragment) in pages[target].places
            )
            if not there:
                lines.append(f"{path.name}: {link}")
    return lines


if __name__ == "__main__":
    found = broken(Path(sys.argv[1]))
    print("\n".join(found))
    sys.exit(bool(found))

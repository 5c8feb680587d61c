"""Reading a page as somebody who can't see it does."""

from itertools import pairwise

from bs4 import BeautifulSoup


def accessible(page: BeautifulSoup) -> None:
    """Fails unless all text is in one `main`, headings skip no level, headers and figures say something."""
    main = page.find_all("main")
    assert len(main) == 1 and page.body
    assert " ".join(main[0].get_text().split()) == " ".join(page.body.get_text().split())
    levels = [int(heading.name[1]) for heading in page.find_all(["h1", "h2", "h3", "h4"])]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels)), levels
    headers = page.find_all("th")
    assert headers and all(header.get_text(strip=True) and header.get("scope") for header in headers)
    assert all(image["alt"].strip() for image in page.find_all("img"))
    names = [each["aria-label"] for each in page.find_all(attrs={"role": "group"})]
    assert len(set(names)) == len(names)

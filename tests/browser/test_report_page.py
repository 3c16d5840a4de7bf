"""The page of a report in a real browser: every width, both themes, the keyboard, a screen reader's tree, and paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kolla_drain.controller.report.model import Report
from kolla_drain.controller.report.page import page
from tests.support.browser import Browser, Page
from tests.support.report_samples import upgrade

WIDTHS = (360, 820, 1440)
THEMES = (False, True)
TAB, ENTER = 9, 13

# Of every text that is seen its colour and what is behind it; of every bar the same.
COLOURS = """
(() => {
  const behind = (start) => {
    for (let one = start; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const style = getComputedStyle(node.parentElement);
    if (!node.data.trim()) continue;
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
    found.push([node.data.trim().slice(0, 40), style.color, behind(node.parentElement), large ? 3 : 4.5]);
  }
  for (const bar of document.querySelectorAll('.bar:not(.gap)'))
    found.push([bar.className, getComputedStyle(bar).backgroundColor, behind(bar.parentElement), 3]);
  return found;
})()
"""
# What has the focus: its element, what it says, its place, and the width of its outline.
FOCUS = """
(() => {
  const one = document.activeElement, place = one.getBoundingClientRect();
  return [one.tagName, one.textContent.trim().slice(0, 60), place.top + scrollY, getComputedStyle(one).outlineWidth];
})()
"""
HEADINGS = (
    "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(one => [+one.tagName[1], one.textContent])"
)


def strained() -> Report:
    """The same with the longest words that there may be."""
    long = "a-host-with-a-name-that-goes-on-and-on.and-its-domain-does-as-well.example.org"
    report = upgrade()
    containers = tuple(
        dataclasses.replace(one, host=long, name="x" * 120, reason="y" * 300, evidence_why="z" * 300)
        for one in report.containers
    )
    failures = tuple(dataclasses.replace(one, text="w" * 400, task="v" * 200) for one in report.failures)
    return dataclasses.replace(report, containers=containers, failures=failures)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "upgrade.html"
    path.write_text(page(upgrade()), encoding="utf-8")
    return path


@pytest.fixture(params=[(width, dark) for width in WIDTHS for dark in THEMES], ids=str)
def opened(browser: Browser, usual: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, dark = request.param
    with browser.open(usual, width, dark=dark) as one:
        yield one


def scrolls(one: Page) -> bool:
    """Whether anything is beyond the right edge; a phone widens its window for that."""
    return bool(one.evaluate(f"Math.max(document.documentElement.scrollWidth, innerWidth) > {one.width}"))


def light(colour: str) -> float:
    """The relative luminance of a colour as the browser spells it (WCAG 2.2)."""
    parts = [float(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((light(one), light(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_how_contrast_is_computed() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)


def test_it_fits_fetches_nothing_and_has_nothing_to_complain_of(opened: Page) -> None:
    assert not scrolls(opened)
    urls = [told["request"]["url"].split(":")[0] for told in opened.said("Network.requestWillBeSent")]
    assert set(urls) <= {"file", "data"}
    assert len(urls) <= 2
    assert opened.said("Log.entryAdded") == []
    assert opened.said("Runtime.consoleAPICalled") == []
    assert opened.said("Runtime.exceptionThrown") == []


def test_everything_can_be_read(opened: Page) -> None:
    found = opened.evaluate(COLOURS)
    assert len(found) > 100
    pale = [
        (text, round(contrast(colour, behind), 2), wanted)
        for text, colour, behind, wanted in found
        if contrast(colour, behind) < wanted
    ]
    assert pale == []


@pytest.mark.parametrize("width", WIDTHS)
def test_long_words_fit_too(browser: Browser, tmp_path: Path, width: int) -> None:
    path = tmp_path / "strained.html"
    path.write_text(page(strained()), encoding="utf-8")
    with browser.open(path, width) as one:
        assert not scrolls(one)


def test_the_keyboard_goes_from_top_to_bottom_and_is_seen(browser: Browser, usual: Path) -> None:
    with browser.open(usual, 820) as one:
        seen: list[Any] = []
        for _ in range(60):
            one.press("Tab", TAB)
            focus = one.evaluate(FOCUS)
            if focus[0] == "BODY" or focus in seen:
                break
            seen.append(focus)
    print(seen)
    places = [place for _, _, place, _ in seen]
    assert places == sorted(places)
    assert {"PRE", "A", "SUMMARY"} == {tag for tag, *_ in seen}
    assert all(float(outline.removesuffix("px")) >= 2 for *_, outline in seen)
    # The first thing that it comes to is what to do.
    assert seen[0][1].startswith("openstack volume show")


def test_a_container_unfolds_by_the_keyboard(browser: Browser, usual: Path) -> None:
    with browser.open(usual, 820) as one:
        one.evaluate("document.querySelector('details:not([open]) > summary').focus()")
        shut = one.evaluate("document.activeElement.parentElement.open")
        one.press("Enter", ENTER)
        assert (shut, one.evaluate("document.activeElement.parentElement.open")) == (False, True)


def test_a_screen_reader_finds_its_way(browser: Browser, usual: Path) -> None:
    with browser.open(usual, 820) as one:
        one.call("Accessibility.enable")
        nodes = [node for node in one.call("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
        headings = one.evaluate(HEADINGS)
    roles = [node["role"]["value"] for node in nodes]
    assert [roles.count(role) for role in ("banner", "main", "contentinfo")] == [1, 1, 1]
    regions = [node["name"]["value"] for node in nodes if node["role"]["value"] == "region"]
    assert {"What to do", "What failed", "In numbers", "The run in time", "Containers"} <= set(regions)
    assert headings[0] == [1, "1 operation was interrupted."]
    levels = [level for level, _ in headings]
    assert levels.count(1) == 1
    assert all(later - before <= 1 for before, later in zip(levels, levels[1:]))
    # What bars show is said in words beside them.
    said = " ".join(str(node.get("name", {}).get("value", "")) for node in nodes)
    assert "quiesce 45 s" in said.replace("\xa0", " ") or ("quiesce" in said and "45 s" in said)
    assert "interrupted" in said
    assert "✕" not in said


def test_it_goes_on_paper_as_a_whole(browser: Browser, usual: Path) -> None:
    with browser.open(usual, 820, dark=True) as one:
        assert one.paper().startswith(b"%PDF-")
        one.call("Emulation.setEmulatedMedia", media="print")
        assert all(
            one.evaluate("[...document.querySelectorAll('.events li')].map(one => one.checkVisibility())")
        )
        assert one.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not scrolls(one)

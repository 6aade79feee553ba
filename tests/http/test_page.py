"""The page in a real browser, which sees what a person does."""

from collections.abc import Iterator
from typing import Any

import pytest
from daemon.fake_daemon import ENDLESS
from headless_chromium import browser
from layered_daemon import QUESTION
from loopback_server import SECONDS, Served, wait_for
from playwright.sync_api import Browser, Page, expect

from codemem.http import control

PATHS = ["docs/guide.md", "README.md", "src/<b>odd & name.py", "src/cache.py", "src/retry.py"]


CONTRAST = """element => {
    const parts = colour => colour.match(/[0-9.]+/g).map(Number);
    const linear = part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const light = colour => {
        const [r, g, b] = parts(colour).map(part => linear(part / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [one, other] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""
"""WCAG 2.2, contrast ratio."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For this module alone: as long as it lives, nothing else in this process can run an event loop."""
    expect.set_options(timeout=SECONDS * 1000)  # an upper bound for a loaded machine
    with browser() as launched:
        yield launched


@pytest.fixture
def page(chromium: Browser, served: Served) -> Iterator[Page]:
    """Opened by the link that the command line prints. Fails the test for whatever the browser complains of."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(SECONDS * 1000)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.goto(control.page_link(served.settings, served.running))
    expect(opened.locator("#question")).to_be_focused()
    yield opened
    context.close()
    assert complaints == []


def ask(page: Page, question: str = QUESTION) -> None:
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")


def lit(page: Page) -> list[str]:
    return page.locator("#lit .path").all_text_contents()


def test_an_answer_lights_up_the_tree_and_names_its_sources(page: Page) -> None:
    ask(page)
    expect(page.locator("#answer")).to_have_text("The function retry does.")
    expect(page.locator("#answer code")).to_have_text("retry")
    expect(page.locator("#sources button")).to_have_text("src/retry.py:1-10retry")
    expect(page.locator("#source-title")).to_have_text("src/retry.py:1-10")
    assert page.locator("#source .cited").first.text_content() == '"""Retry with backoff."""'
    assert page.locator("#source .cited").evaluate_all("lines => lines.map(line => line.dataset.number)") == [
        *map(str, range(1, 11))
    ]
    expect(page.locator("#state")).to_have_text("Answered.")
    expect(page.locator("#notes")).to_have_text("Routing took 2 ms, the first word came after 20 ms.")
    expect(page.locator("#layer-name")).to_have_text("all layers")
    assert sorted(lit(page)) == sorted(PATHS)


def test_layers_and_rounds_are_shown_one_by_one(page: Page) -> None:
    ask(page)
    expect(page.locator("#rounds button")).to_have_text(["Round 1", "Round 2"])
    favourites = {}
    for number in range(3):
        page.locator("#layer").fill(str(number))
        favourites[page.locator("#layer-name").text_content()] = lit(page)[0]
    assert list(favourites) == ["layer 9", "layer 13", "layer 17"]
    assert favourites["layer 9"] == "src/retry.py"
    assert len(set(favourites.values())) == 3, "every layer has a favourite of its own"
    expect(page.locator("#treemap")).to_have_attribute("aria-label", "Treemap of 5 files: 5 lit, layer 17")
    page.locator("#rounds button").first.click()
    expect(page.locator("#lit .read .path")).to_have_text(["src/retry.py"])
    page.locator("#rounds button").last.click()
    assert page.locator("#lit .read .path").all_text_contents() != ["src/retry.py"]


def test_what_was_not_found_is_said_with_places(page: Page) -> None:
    ask(page, "Cache.evict")
    expect(page.locator("#answer")).to_contain_text("does not hold the answer")
    expect(page.locator("#sources-title")).to_have_text("Nearest places")
    expect(page.locator("#sources button").first).to_contain_text("src/cache.py")


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator("#sources button")).to_be_visible()
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        if page.evaluate("document.activeElement.id") == "layer":
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#layer-name")).to_have_text("layer 17")
        if page.evaluate("document.activeElement.closest('#lit') !== null"):
            break
    page.keyboard.press("Enter")
    first = lit(page)[0]
    expect(page.locator("#source-title")).to_have_text(first)
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    assert {"layer", "play"} <= set(reached)
    outlines = page.locator("#question").evaluate("element => getComputedStyle(element).outlineStyle")
    assert outlines == "solid", "where the focus is can be seen"


def test_escape_stops_the_work(page: Page, served: Served) -> None:
    ask(page, ENDLESS)
    expect(page.locator("#answer")).to_contain_text("and so on")
    page.keyboard.press("Escape")
    expect(page.locator("#state")).to_have_text("Stopped.")
    expect(page.locator("#stop")).to_be_hidden()
    wait_for(lambda: served.daemon()["running"] == 0)


def test_a_new_question_replaces_the_one_under_way(page: Page, served: Served) -> None:
    ask(page, ENDLESS)
    expect(page.locator("#answer")).to_contain_text("and so on")
    ask(page)
    expect(page.locator("#answer")).to_have_text("The function retry does.")
    wait_for(lambda: served.daemon()["running"] == 0)


def test_names_and_text_of_files_are_never_markup(page: Page) -> None:
    ask(page)
    odd = page.locator("#lit button", has_text="odd & name")
    expect(odd).to_have_text("src/<b>odd & name.py")
    odd.click()
    expect(page.locator("#source")).to_contain_text("return '<script>alert(1)</script>'")
    assert page.locator("#source script, #lit b").count() == 0


def test_the_key_is_in_no_address_and_the_link_is_good_once(page: Page, chromium: Browser, served: Served) -> None:
    link = control.page_link(served.settings, served.running)
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator("#question")).to_be_focused()
    assert page.evaluate("location.href") == f"{served.running.url}/"
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.reload()
    expect(page.locator("#question")).to_be_focused()
    ask(page)
    expect(page.locator("#sources button")).to_be_visible()
    assert requested
    assert not [url for url in requested if served.key in url or "ticket" in url]
    context = chromium.new_context()
    stranger = context.new_page()
    stranger.goto(link)
    expect(stranger.locator("#why")).to_contain_text("used already")
    assert stranger.locator("#page").is_hidden()
    stranger.goto(served.running.url)
    stranger.reload()
    expect(stranger.locator("#locked")).to_contain_text("codemem serve start --http")
    context.close()


def test_the_browser_is_told_to_run_nothing_else(chromium: Browser, served: Served) -> None:
    page = chromium.new_page()
    page.goto(served.running.url)
    for attempt in (
        "document.body.innerHTML = '<img src=x>'",
        "document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))",
    ):
        refused = page.evaluate(f"() => {{ try {{ {attempt} }} catch (error) {{ return error.name }} }}")
        assert refused == "TypeError", "trusted types"
    sent = page.evaluate("() => fetch('http://127.0.0.1:1/').then(() => 'sent', error => error.name)")
    assert sent == "TypeError", "nothing is sent elsewhere"
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    expect(page.locator("html")).to_have_attribute("data-theme", theme)
    ask(page)
    expect(page.locator("#sources button")).to_be_visible()
    for place in ("#answer", "#state", "#legend", "#model", "#source .cited", "#lit .path", "#ask [type=submit]", "h3"):
        assert page.locator(place).first.evaluate(CONTRAST) >= 4.5, place


def test_the_theme_can_be_chosen_and_stays(page: Page) -> None:
    page.locator("#theme").click()
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("#theme")).to_have_text("Theme: dark")


def test_a_small_screen_needs_no_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 380, "height": 700})
    ask(page)
    expect(page.locator("#sources button")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_what_assistive_technology_is_told(page: Page) -> None:
    ask(page)
    expect(page.locator("#sources button")).to_be_visible()
    told = page.locator("body").aria_snapshot()
    for line in (
        'heading "codemem" [level=1]',
        'combobox "Repository"',
        'textbox "Ask about the code"',
        'button "Ask"',
        "status: ",
        'slider "Layer"',
        'img "Treemap of 5 files: 5 lit, all layers together"',
        'list "Files of all layers"',
        'list "Sources"',
        'region "Answer"',
    ):
        assert line in told, told


def test_cells_fill_the_map_without_overlaps(page: Page) -> None:
    """A tree of folders in folders, with empty files and one that outweighs all."""
    cells: list[dict[str, Any]] = page.evaluate(
        """async () => {
            const { nest, layout } = await import("/treemap.js");
            const paths = Array.from({ length: 300 }, (_, i) => `a${i % 7}/b${i % 3}/file${i}.py`);
            const sizes = paths.map((_, i) => (i === 5 ? 1e7 : i % 11 ? i * 40 : 0));
            return layout(nest(paths, sizes), 900, 300).files;
        }"""
    )
    assert len({cell["path"] for cell in cells}) == 300
    for at, cell in enumerate(cells):
        assert -0.01 <= cell["x"] <= cell["x"] + cell["w"] <= 900.01
        assert -0.01 <= cell["y"] <= cell["y"] + cell["h"] <= 300.01
        for other in cells[at + 1 :]:
            across = min(cell["x"] + cell["w"], other["x"] + other["w"]) - max(cell["x"], other["x"])
            down = min(cell["y"] + cell["h"], other["y"] + other["h"]) - max(cell["y"], other["y"])
            assert across <= 0.01 or down <= 0.01, (cell, other)
    assert sum(cell["w"] * cell["h"] for cell in cells) > 0.6 * 900 * 300

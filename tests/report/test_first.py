"""The first screen: short, of one height, and nothing on it that the decision does not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.boards import DEMO, Made, improving, write_board
from tests.report.browser import CHROMIUM, Page

from thriftune.analysis.analyse import analyse
from thriftune.analysis.findings.answers.answer import WORDS, fitted, naming
from thriftune.analysis.findings.answers.cost import cost
from thriftune.analysis.findings.answers.errors import errors
from thriftune.analysis.findings.answers.performance import performance
from thriftune.analysis.findings.caution import NO_RANKING, caution
from thriftune.analysis.findings.decision import decide, headline
from thriftune.report.first import facts, first
from thriftune.report.leaderboard import OPEN
from thriftune.report.render import page
from thriftune.results.files import write_text
from thriftune.results.store import Results

TUNED = tuple(each for each in DEMO if not each.baseline)
CROWD = tuple(
    Made(name=f"lora r{i + 1} query value", right=0.6 - 0.01 * i, seconds=20.0 + 9 * i, memory=(80 + 30 * i) * 1e6)
    for i in range(OPEN + 5)
)
TWO_MODELS = tuple(
    replace(
        each,
        name=f"{each.name} demo:{model}",
        model=f"demo:{model}",
        right=each.right + better,
        seconds=slow * each.seconds,
    )
    for model, better, slow in (("minilm", 0.0, 1), ("mpnet-base", 0.05, 4))
    for each in TUNED
)
TWELVE = (*TWO_MODELS, *(each for each in DEMO if each.baseline))
STUDIES: dict[str, dict] = {
    "demo": {"methods": improving(DEMO)},
    "seeds": {"methods": DEMO, "seeds": 3, "texts": 1500},
    "best is a baseline": {"methods": (*TUNED, Made(name="tfidf", right=0.75, seconds=5, baseline=True))},
    "nothing learned": {"methods": tuple(replace(each, right=-1) for each in TUNED), "texts": 600},
    "one method": {"methods": DEMO[:1], "texts": 600},
    "crowd": {"methods": (*CROWD, Made(name="full on xxl", right=0)), "seeds": 2, "labels": tuple(
        f"intent {i}" for i in range(30)
    ), "texts": 1200},
    "all failed": {"methods": (Made(name="full", right=0), Made(name="lora", right=0)), "texts": 600},
    "two models": {"methods": improving(TWELVE), "texts": 600},
    "alike": {"methods": tuple(replace(each, right=0.6) for each in TUNED), "texts": 600},
}  # fmt: skip
WORDS_IN_HTML = """(() => {
  const walk = document.createTreeWalker(document.querySelector('.first'), NodeFilter.SHOW_TEXT);
  let count = 0;
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement;
    if (!at.closest('svg') && at.checkVisibility())
      count += walk.currentNode.data.trim().split(/\\s+/).filter(Boolean).length;
  }
  return count;
})()"""


@pytest.fixture(scope="module", params=STUDIES)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write_board(tmp_path_factory.mktemp("board"), **STUDIES[request.param]).load()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write_board(tmp_path_factory.mktemp("demo"), improving(DEMO)).load()


def _page(results: Results) -> Path:
    write_text(results.store.report_path, page(analyse(results)))
    return results.store.report_path


@pytest.fixture(scope="module")
def demo_page(demo: Results) -> Path:
    return _page(demo)


def _sentences(results: Results) -> list[str]:
    found = caution(results)
    answers = [performance(results).text, cost(results).text, errors(results).text]
    return [headline(decide(results)), *([found.words] if found else []), *answers]


def test_nothing_is_said_that_the_decision_does_not_hold(results: Results) -> None:
    decision, said = decide(results), _sentences(results)
    text = " ".join(said)
    taken, best = decision.taken, decision.best
    assert "that fits" not in text, "no limit was given"
    assert "classified best" not in text
    assert "best classifier" not in text
    assert "not beaten" not in text.lower()
    if decision.one_seed:
        assert "better" not in text.replace("shown to be better than", "")
    assert re.match(rf"(T|At this budget, t)ake {re.escape(taken.name)}: " if taken else "Take none", said[0])
    for name in re.findall(r"(?:^|\. |, )([\w ]+?)(?:, without fine-tuning,)? scored higher than all", said[-3]):
        assert best is not None
        assert name == best.name
        assert [each.name for each in decision.best_set] == [name]
    apart = re.search(r"(.*?) are not told apart", said[-3])
    if apart:
        assert len(decision.best_set) > 1
    for each in decision.standings:
        if each.place == "lower":
            assert each.name not in (apart[1] if apart else "").replace(" and ", ", ").split(", ")


def test_no_answer_is_long_or_empty_of_content(results: Results) -> None:
    for answer in (performance(results), cost(results), errors(results)):
        assert 0 < len(answer.text.split()) <= WORDS
    assert not re.search(r"not known|0%, 0%|nan|None|\bcells?\b", " ".join(_sentences(results)))


def test_the_table_has_a_row_for_every_method(results: Results) -> None:
    found, decision = first(results), decide(results)
    rows = [*found.open, *found.folded]
    assert len(rows) == len({run.cell for run in results.runs})
    assert [f"{row.name} {row.model}".strip() for row in rows if row.taken] == (
        [decision.taken.name] if decision.taken else []
    )
    assert not found.folded or any(row.taken for row in found.open)
    baselines = [row for row in rows if row.baseline]
    assert not baselines or any(row.baseline for row in found.open)
    assert len(found.open) <= OPEN + 1
    for row in rows:
        assert row.dot is None or 0 <= row.dot.low <= row.dot.at <= row.dot.high <= 100
    for plane in found.planes:
        assert all(0 <= point.x <= plane.width for point in plane.points)
        assert len(plane.points) <= len(decision.standings)


def test_under_training_heads_the_page_with_the_command_that_tells(demo: Results) -> None:
    found = caution(demo)
    assert found is not None
    assert found.bold == NO_RANKING
    assert found.text == "One seed each; every method was still improving (last epoch: +2.0 to +8.0 points)."
    assert found.options == "--set protocol.epochs=4 --set 'seeds=[0,1,2]'"
    assert found.command is not None
    assert found.command.startswith("thriftune compare ")
    assert found.command.endswith(found.options)
    assert found.time is not None
    assert found.time.startswith("about ")
    trained = sum(run.cost.train_seconds for run in demo.runs if run.cost and run.model)
    minutes = int(found.time.split()[1])
    assert 6 * trained <= 60 * minutes < 7.5 * trained, "twice the epochs, three seeds, and looks at validation"
    assert performance(demo).text.startswith("At this budget, ")


def test_one_seed_alone_asks_for_more_seeds(tmp_path: Path) -> None:
    found = caution(write_board(tmp_path, DEMO).load())
    assert found is not None
    assert found.bold == NO_RANKING
    assert found.options == "--set 'seeds=[0,1,2]'"


def test_enough_seeds_at_a_plateau_need_no_caution(tmp_path: Path) -> None:
    assert caution(write_board(tmp_path, DEMO, seeds=3).load()) is None


def test_lost_seeds_and_methods_are_named(tmp_path: Path) -> None:
    results = write_board(tmp_path, (*DEMO[:3], Made(name="full on xxl", right=0)), seeds=3).load()
    runs = [replace(r, status="diverged", test=None) if r.name == "full seed 1" else r for r in results.runs]
    found = caution(Results(results.store, replace(results.study, runs=runs)))
    assert found is not None
    assert found.words.startswith("full lost 1 of its 3 seeds.")
    assert "Without a result: full on xxl (out of memory)." in found.words


def test_where_nothing_learned_the_labels_come_first(tmp_path: Path) -> None:
    found = caution(write_board(tmp_path, STUDIES["nothing learned"]["methods"], texts=600).load())
    assert found is not None
    assert found.bold == "No fine-tuned method learned."
    assert found.options == "--set protocol.epochs=4"


def test_different_protocols_are_named(tmp_path: Path) -> None:
    results = write_board(tmp_path, DEMO, seeds=3, texts=600).load()
    runs = [replace(r, protocol=r.protocol | {"batch_size": 8}) if r.cell == "full" else r for r in results.runs]
    found = caution(Results(results.store, replace(results.study, runs=runs)))
    assert found is not None
    assert found.words == "These methods ran under different protocols. They differ in batch size 32 and 8."


def test_facts(demo: Results) -> None:
    assert facts(demo) == [
        "demo:minilm", "3,000 training, 3,000 test pairs", "2 epochs", "1 seed", "2 CPU threads",
    ]  # fmt: skip


def test_sentences_are_left_out_where_there_is_no_room() -> None:
    assert fitted(["a b c.", "d e f.", "g."], 4) == "a b c. g."
    assert fitted(["a b c d."], 3) == "a b …"
    assert naming(["a", "b", "c"], 5, lambda names: f"{names} score lower.") == "a and 2 more score lower."
    assert naming(["a", "b"], 5, lambda names: f"{names} score lower.") == "a and b score lower."


@pytest.fixture(scope="module")
def two_models_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worst: two models, twelve methods, still improving, one seed, rare classes, labels of several words."""
    out = tmp_path_factory.mktemp("two")
    labels = tuple(f"intent_{i}_of_the_bank" for i in range(40))
    return _page(write_board(out, improving(TWELVE), labels=labels, texts=600, name="bank-intents").load())


CUT = "[...document.querySelectorAll('.first .who, .first .words')].filter(e => e.scrollHeight > e.clientHeight + 2)"


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("study", ["demo_page", "two_models_page"])
def test_it_fits_one_screen(browser: Page, study: str, request: pytest.FixtureRequest) -> None:
    browser.open(request.getfixturevalue(study), 1280)
    assert browser.problems == []
    assert browser.evaluate("document.querySelector('.first').getBoundingClientRect().bottom + scrollY") <= 900
    assert browser.evaluate(WORDS_IN_HTML) <= 250
    assert browser.evaluate(f"{CUT}.length") == 0


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("study", ["demo_page", "two_models_page"])
def test_on_a_phone_every_method_is_a_card(browser: Page, study: str, request: pytest.FixtureRequest) -> None:
    browser.open(request.getfixturevalue(study), 400)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 400
    rows = "[...document.querySelectorAll('.board tbody tr')].filter(e => e.checkVisibility())"
    assert browser.evaluate(f"{rows}.every(e => getComputedStyle(e).display === 'grid')")
    named = "[...e.querySelectorAll('[data-name]')].every(d => getComputedStyle(d, '::before').content.length > 4)"
    assert browser.evaluate(f"{rows}.every(e => {named})"), "each number says what it is"
    out = "[...e.children].filter(c => c.checkVisibility() && c.getBoundingClientRect().right > 400).length"
    assert browser.evaluate(f"{rows}.every(e => {out} === 0)")
    assert browser.evaluate(f"{CUT}.length") == 0
    small = "[...document.querySelectorAll('.first *')].filter(e => e.childElementCount === 0 && e.checkVisibility())"
    sizes = f"Math.min(...{small}.filter(e => !e.closest('svg')).map(e => parseFloat(getComputedStyle(e).fontSize)))"
    assert browser.evaluate(sizes) >= 12


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_plane_shows_one_cost_at_a_time(browser: Page, demo_page: Path) -> None:
    browser.open(demo_page, 1280)
    shown = "[...document.querySelectorAll('.first .plane')].filter(e => e.checkVisibility()).map(e => e.ariaLabel)"
    (label,) = browser.evaluate(shown)
    assert label.startswith("Accuracy against training time. lora r8 all: 66.5%")
    browser.click(".show-memory")
    (label,) = browser.evaluate(shown)
    assert label.startswith("Accuracy against peak memory.")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_its_text_has_contrast(browser: Page, demo_page: Path, width: int, scheme: str) -> None:
    browser.open(demo_page, width, scheme=scheme)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(FAINT) == []
    roles = "[...document.querySelectorAll('.board tr')].every(r => r.role === 'row')"
    assert browser.evaluate(roles), "a table for a reader, cards for the eye"


FAINT = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const e of document.querySelectorAll('.first *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.tagName === 'title') continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.closest('svg') ? style.fill : style.color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) out.push(e.textContent.trim().slice(0, 30));
  }
  return out;
})()"""

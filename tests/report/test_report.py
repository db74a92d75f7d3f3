"""The report: what the page says of runs, that it stands alone, and how it behaves in a browser."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pages import Page, make_run
from PIL import Image

import kerasgen
from kerasgen.cli import main
from kerasgen.report import pictures, read_run, write_report
from kerasgen.report.charts import line_chart

EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>'\"{{7*7}}&$x$"


def report(*runs, path=None):
    path = runs[0] / "report.html" if path is None else path
    write_report(list(runs), path)
    return Page(path.read_text(encoding="utf-8")).check()


def cells(page, row):
    """The cells of the first table row that begins with some text."""
    (found,) = re.findall(rf"<tr><th scope=\"row\">{row}.*?</tr>", page.source)[:1]
    return re.findall(r"<td>(.*?)</td>", found)


def test_it_says_what_was_trained_how_and_how_well(tmp_path):
    page = report(make_run(tmp_path / "run", seed=3))
    for words in (
        "DCGAN on digits: 1,797 pictures of 8×8 pixels, 1 channel.",
        "Training has ended: 4 epochs, 40 steps at the last evaluation (1.5 minutes).",
        "abc123",
        "2.21.0",
        "While training [fashion-cnn, 32px]",
        "Nothing: no collapse",
    ):
        assert words in page.text
    assert cells(page, "Fréchet distance") == ["2.25", "2.25", "0.05"]
    assert cells(page, "seed") == ["3"] and cells(page, "latent dim") == ["8"]
    charts = [a["aria-label"] for a in page.all("figure") if a.get("class") == "chart"]
    fd, loss = (next(c for c in charts if c.startswith(n)) for n in ("Fréchet", "Generator loss"))
    assert "from 9 at step 10 to 2.25 at step 40" in fd and "floor 0.05" in fd
    assert "from 2 at epoch 1 to 1.7 at epoch 4" in loss
    assert "from 2.5 at epoch 1 to 2.5 at epoch 3, between 2.5 and 2.5 (validation)" in loss
    assert len(page.all("svg")) == len(charts) == 6


def test_what_is_trained_on_clips_says_clips(tmp_path):
    page = report(make_run(tmp_path / "run", epochs=1, evaluations=0, model="convlstm"))
    assert "1,797 clips of 8×8 pixels" in page.text
    assert "Nothing was measured while training." in page.text


def test_the_best_evaluation_is_told_from_the_last(tmp_path):
    run = make_run(tmp_path / "run", epochs=2)
    with open(run / "evaluations.jsonl", "a") as file:
        file.write(json.dumps({"step": 30, "fd": 7.5, "floor": {"fd": 0.05}}) + "\n")
        file.write('{"step": 40, "fd": 0.1, "floor"')  # being written
    page = report(run)
    assert cells(page, "Fréchet distance") == ["4.5", "7.5", "0.05"]
    assert "Note" not in page.text


def test_the_film_holds_the_pictures_of_their_epochs(tmp_path):
    run = make_run(tmp_path / "run")
    page = report(run)
    film = page.film()
    assert film["epochs"] == [1, 2, 3, 4]
    (only,) = film["films"]
    for epoch, url in zip(only["epochs"], only["frames"], strict=True):
        kind, _, content = url.partition(",")
        assert kind == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as frame:
            shown = np.asarray(frame.convert("L"), float)
        with Image.open(run / "samples" / f"samples-epoch-{epoch:04d}.png") as image:
            error = np.abs(np.asarray(image, float) - shown).mean()
            assert error < 8 < np.asarray(image, float).std()
    slider = next(a for a in page.all("input") if a["type"] == "range")
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "3", "3")
    latest = page.all("img")[0]["src"].partition(",")[2]
    assert base64.b64decode(latest) == (run / "samples" / "samples-latest.png").read_bytes()


def test_many_pictures_are_thinned_to_what_a_page_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_FRAMES", 15)
    run = make_run(tmp_path / "run", epochs=20)
    film = report(run).film()["films"][0]
    assert len(film["epochs"]) == 15
    assert (film["epochs"][0], film["epochs"][-1]) == (1, 20)
    size = sum(len(frame) for frame in film["frames"]) * 3 // 4
    monkeypatch.setattr(pictures, "FILM_BYTES", size // 3)
    fewer = report(run).film()["films"][0]
    assert 3 <= len(fewer["epochs"]) <= 6
    assert (fewer["epochs"][0], fewer["epochs"][-1]) == (1, 20)
    assert sum(len(frame) for frame in fewer["frames"]) * 3 // 4 <= size // 3 + 100


def test_five_hundred_evaluations_stay_small(tmp_path):
    page = report(make_run(tmp_path / "run", evaluations=500, epochs=2))
    assert page.source.count("<tr><td>") == 500
    assert len(page.source) < 2**20


@pytest.mark.parametrize("low, high", [(0.066, 0.083), (0.8, 1.1), (0.3, 9), (2e-4, 900), (5, 5)])
def test_a_logarithmic_axis_of_any_range_has_numbers(low, high):
    line = {"points": [(0, low), (1, high)], "colour": 0, "style": "solid", "label": ""}
    drawn = line_chart([line], "key", logarithmic=True)
    values = [float(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawn)][2:]
    assert 2 <= len(values) <= 8 and values == sorted(values)
    assert low / 10 <= values[0] and values[-1] <= 10 * high


def test_several_runs_stand_side_by_side(tmp_path):
    one = make_run(tmp_path / "a" / "run", epochs=2)
    other = make_run(tmp_path / "b" / "run", epochs=4, seed=1, batch_size=32)
    page = report(one, other, path=tmp_path / "both.html")
    assert "1 · run" in page.text and "2 · run (2)" in page.text
    film = page.film()
    assert film["epochs"] == [1, 2, 3, 4]
    assert [f["epochs"] for f in film["films"]] == [[1, 2], [1, 2, 3, 4]]
    differs = re.findall(r'<tr class="differs"><th scope="row">(\S+)', page.source)
    assert {"epochs", "seed", "batch"} <= set(differs) and "model" not in differs
    fd = next(a["aria-label"] for a in page.all("figure") if "Fréchet" in a.get("aria-label", ""))
    assert "run: from 9" in fd and "run (2): from 9" in fd
    svg = page.source[page.source.index("<svg") :]
    assert "var(--line-1)" in svg and "var(--line-2)" in svg and "#0103" not in svg


def test_verdicts_panel_neighbours_walk_and_card_are_shown(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "verdicts.jsonl").write_text(
        json.dumps({"step": 7, "epoch": 2, "verdict": "mode collapse", "action": "stop"}) + "\n"
    )
    measures = {"C_T": {"value": -0.5, "floor": 0.25, "better": "near", "meaning": "copies"}}
    (run / "evaluation").mkdir()
    panel = {"measures": measures, "verdicts": ["No sign of memorised pictures."]}
    (run / "evaluation" / "evaluation.json").write_text(json.dumps(panel))
    (run / "report").mkdir()
    for name in ("walk", "neighbours-00"):
        shutil.copy(run / "samples" / "samples-latest.png", run / "report" / f"{name}.png")
    columns = [{"pixel": 12.5, "feature": 0.75}]
    facts = {"compared": 100, "of": 1797, "columns": columns}
    (run / "report" / "neighbours.json").write_text(json.dumps(facts))
    (run / "saved_model").mkdir()
    card = "# run\n\n| a | b |\n|---|---|\n| c | `d` |\n\n![x](https://example.org/x.png) <b>no</b>"
    (run / "saved_model" / "SERVING.md").write_text(card)
    page = report(run)
    for words in (
        "Step 7, epoch 2: mode collapse. It went back to the last healthy weights and ended",
        "No sign of memorised pictures.",
        "pixels 12.5 features 0.75",
        "among 100 of the 1,797 training pictures",
        "In each row the way from one latent to another",
    ):
        assert words in page.text
    assert cells(page, "C_T") == ["-0.5", "0.25", "near"]
    assert "<td><code>d</code></td>" in page.source
    assert "https://example.org" in page.text  # as text, and <b> too
    assert "<b> no </b>" in page.text.replace("<b>no</b>", "<b> no </b>")


def test_everything_is_escaped(tmp_path):
    run = make_run(tmp_path / "<b>run", data=EVIL, comment=EVIL)
    config = json.loads((run / "config.json").read_text())
    config["data"] |= {"class_names": [EVIL], "fingerprint": EVIL}
    config["model"] |= {"class": EVIL, "config": {EVIL: EVIL}}
    config["versions"][EVIL] = EVIL
    (run / "config.json").write_text(json.dumps(config))
    (run / "verdicts.jsonl").write_text(json.dumps({"step": EVIL, "verdict": EVIL}) + "\n")
    with open(run / "evaluations.jsonl", "a") as file:
        file.write(json.dumps({"step": 90, "fd": 1.0, "floor": {EVIL: 1}, "protocol": EVIL}) + "\n")
    lines = (run / "history.csv").read_text().splitlines()
    quoted = '"' + EVIL.replace('"', '""') + '"'
    history = [lines[0] + "," + quoted, *(line + ",1" for line in lines[1:])]
    (run / "history.csv").write_text("\n".join(history))
    shutil.copy(run / "samples" / "samples-latest.png", run / "samples" / "<i>'\"&-epoch-0004.png")
    (run / "evaluation").mkdir()
    measures = {EVIL: {"value": 1.0, "floor": EVIL, "better": EVIL, "meaning": EVIL}}
    (run / "evaluation" / "evaluation.json").write_text(
        json.dumps({"measures": measures, "verdicts": [EVIL]})
    )
    (run / "saved_model").mkdir()
    (run / "saved_model" / "SERVING.md").write_text(f"# {EVIL}\n\n{EVIL}\n\n[a](javascript:b)")
    page = report(run)
    assert len(page.scripts) == 2 and page.text.count(EVIL.split("<")[1]) >= 10
    assert {name for name, _ in page.tags}.isdisjoint({"b", "i", "iframe"})
    assert all(image["src"].startswith("data:") for image in page.all("img"))
    assert "{{7*7}}" in page.text and "{{49}}" not in page.text
    film = page.film()["films"]
    assert [f["name"] for f in film] == ["<i>'\"&", "samples"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"[1, 2]", b'{"a": ', b"[" * 100_000])
def test_damaged_files_are_left_out_and_named(tmp_path, content):
    run = make_run(tmp_path / "run")
    for directory in ("evaluation", "report"):
        (run / directory).mkdir()
    for name in ("evaluation/evaluation.json", "report/neighbours.json", "horizons.json"):
        (run / name).write_bytes(content)
    for name in ("evaluations.jsonl", "verdicts.jsonl"):
        (run / name).write_bytes(content + b"\n" + b'{"step": "a"}\n')
    for name in ("samples-latest.png", "samples-epoch-0002.png"):
        (run / "samples" / name).write_bytes(content)
    (run / "history.csv").write_bytes(content)
    page = report(run)
    for name in ("evaluation.json", "neighbours.json", "evaluations.jsonl", "samples-epoch-0002"):
        assert name in page.text
    assert page.film()["films"][0]["epochs"] == [1, 3, 4]


def test_numbers_that_are_none_are_no_points(tmp_path):
    run = make_run(tmp_path / "run", epochs=1, evaluations=0)
    records = [
        {"step": 1, "fd": math, "kd": True, "floor": {}}
        for math in (float("nan"), float("inf"), "1", None)
    ]
    (run / "evaluations.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    page = report(run)
    assert not any("Fréchet" in a.get("aria-label", "") for a in page.all("figure"))
    assert read_run(run).best() is None


def test_what_is_no_report_is_never_replaced(tmp_path, capsys):
    run = make_run(tmp_path / "run", epochs=1)
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    assert main(["report", str(run), "--quick", "--out", str(mine)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert mine.read_text() == "<p>mine</p>"
    for _ in range(2):
        assert main(["report", str(run), "--quick"]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    for wrong, message in (
        ([str(tmp_path)], "which `kerasgen train` makes"),
        ([str(run), "--out", "page.pdf"], "must end in .html"),
    ):
        assert main(["report", *wrong]) == 2
        assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "run"]


def test_it_takes_no_tensorflow(tmp_path):
    run = make_run(tmp_path / "run", epochs=1)
    code = "import sys; from kerasgen.cli import main; main(sys.argv[1:]); "
    code += "print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code, "report", str(run), "--quick"]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert result.stdout.split()[-1] == "False", result.stderr


# === In a browser ===


def browser(playwright):
    """A headless Chromium, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next(filter(None, map(shutil.which, names)), None)
    try:
        return playwright.chromium.launch(executable_path=installed, args=["--no-sandbox"])
    except Exception:  # noqa: BLE001  however it says that there is none
        return None


def test_in_a_browser_the_slider_moves_and_nothing_leaves_the_page(tmp_path):
    """Where there is no Chromium, what the browser would run is checked as far as it goes."""
    run = make_run(tmp_path / "run", data=EVIL)
    page_file = run / "report.html"
    page = report(run)
    film = page.film()["films"][0]
    try:
        from playwright import sync_api
    except ImportError:
        return check_script(page)
    with sync_api.sync_playwright() as playwright:
        chromium = browser(playwright)
        if chromium is None:
            return check_script(page)
        for width, scheme in ((390, "dark"), (1440, "light")):
            tab = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            said, asked = [], []
            tab.on("console", lambda message, said=said: said.append(message.text))
            tab.on("pageerror", lambda error, said=said: said.append(str(error)))
            tab.on("dialog", lambda dialog, said=said: said.append(dialog.message))
            tab.on("request", lambda request, asked=asked: asked.append(request.url))
            tab.goto(page_file.as_uri())
            slider, picture = tab.locator("#epoch"), tab.locator("img.film")
            assert picture.get_attribute("src") == film["frames"][-1]
            slider.focus()
            slider.press("ArrowLeft")
            slider.press("ArrowLeft")
            assert picture.get_attribute("src") == film["frames"][1]
            assert picture.get_attribute("alt").endswith("epoch 2")
            assert tab.locator("#shown").text_content() == "2"
            assert slider.get_attribute("aria-valuetext") == "Epoch 2"
            tab.locator("#play").click()
            sync_api.expect(tab.locator("#shown")).to_have_text("4")
            sync_api.expect(tab.locator("#play")).to_have_text("Play")
            broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
            assert tab.evaluate(broken) == 0
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            brightness = sum(int(part) for part in re.findall(r"\d+", back)[:3])
            assert (brightness < 200) == (scheme == "dark")
            assert not said
            assert all(url.startswith(("file:", "data:")) for url in asked)
            tab.close()
        chromium.close()


def check_script(page):
    """The script speaks of what the page has."""
    ids = {attributes.get("id") for _, attributes in page.tags}
    asked = set(re.findall(r'getElementById\("(\w+)"\)', page.scripts[-1]))
    assert asked == {"frames", "epoch", "shown", "play"} and asked <= ids
    films = [a for a in page.all("img") if a.get("class") == "film"]
    assert [a["src"] for a in films] == [f["frames"][-1] for f in page.film()["films"]]


# === What takes the model ===


def test_neighbours_and_walk_are_the_models(tmp_path):
    from kerasgen.report import extras

    train = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1)).astype(np.uint8)
    model = kerasgen.DCGAN((8, 8, 1), latent_dim=4, generator_filters=4, discriminator_filters=4)
    model.evaluation_samples = lambda count, seed: np.concatenate(
        [train[7:8], np.random.default_rng(1).integers(0, 256, (count - 1, 8, 8, 1), np.uint8)]
    )
    extras.write_neighbours(model, train, tmp_path)
    facts = json.loads((tmp_path / "report" / "neighbours.json").read_text())
    assert facts["compared"] == facts["of"] == 40 and len(facts["columns"]) == 12
    assert facts["columns"][0] == {"pixel": 0, "feature": pytest.approx(0, abs=1e-6)}
    features = [column["feature"] for column in facts["columns"]]
    assert features == sorted(features) and features[1] > 0
    with Image.open(tmp_path / "report" / "neighbours-00.png") as image:
        column = np.asarray(image)
    copy = train[7, ..., 0].repeat(8, 0).repeat(8, 1)
    for row in range(3):
        np.testing.assert_array_equal(column[2 + 66 * row : 66 + 66 * row, 2:66], copy)
    extras.write_walk(model, tmp_path)
    walk = model.latent_walk(extras.WAYS, extras.STEPS, seed=0)
    np.testing.assert_array_equal(walk[0, 0], model.generate(1, seed=0)[0])
    np.testing.assert_array_equal(walk[0, -1], walk[1, 0])
    np.testing.assert_array_equal(walk[-1, -1], model.generate(1, seed=extras.WAYS)[0])
    with Image.open(tmp_path / "report" / "walk.png") as image:
        shown = np.asarray(image)[2:66, 2:66]
    np.testing.assert_array_equal(shown, walk[0, 0, ..., 0].repeat(8, 0).repeat(8, 1))

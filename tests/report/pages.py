"""Run directories to report on, and what can be read off a page without a browser."""

import base64
import csv
import hashlib
import html.parser
import json
import re

import numpy as np

from kerasgen.plots import write_grid

FLOOR = {"fd": 0.05, "kd": -0.0001, "precision": 0.95, "recall": 0.97, "coverage": 0.96}
VOID = {"meta", "link", "br", "img", "input"}


def make_run(path, epochs=4, data="digits", evaluations=None, seed=0, frames=True, **arguments):
    """A run directory as `kerasgen train` leaves it, of little pictures."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    config = {
        "arguments": {"model": "dcgan", "data": data, "epochs": epochs, "seed": seed, **arguments},
        "model": {"class": "DCGAN", "config": {"latent_dim": 8}, "compile": {"loss": "hinge"}},
        "data": {"num_images": 1797, "image_shape": [8, 8, 1], "fingerprint": "abc123"},
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
    }
    (path / "config.json").write_text(json.dumps(config))
    with open(path / "history.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "generator_loss", "fd", "val_generator_loss"])
        for epoch in range(epochs):
            rows.writerow([epoch, 2 - 0.1 * epoch, 1.0, "NA" if epoch % 2 else 2.5])
    with open(path / "evaluations.jsonl", "w") as file:
        for index in range(epochs if evaluations is None else evaluations):
            record = {"step": 10 * (index + 1), "epoch": index + 1, "minutes": index / 2}
            record |= {"fd": 9 / (1 + index), "kd": 0.1, "precision": 0.5, "recall": 0.5}
            record |= {"coverage": 0.25, "floor": FLOOR, "protocol": "fashion-cnn, 32px"}
            file.write(json.dumps(record) + "\n")
    (path / "samples").mkdir()
    for epoch in range(1, epochs + 1) if frames else ():
        grid = rng.integers(0, 256, (2, 2, 8, 8, 1)).astype(np.uint8)
        write_grid(path / "samples" / f"samples-epoch-{epoch:04d}.png", grid)
        write_grid(path / "samples" / "samples-latest.png", grid)
    (path / "model.keras").touch()
    return path


class Page(html.parser.HTMLParser):
    """What a page holds: `tags`, a list of (name, attributes), and the `text` people see."""

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.texts, self.scripts, self.open = source, [], [], [], []
        self.feed(source)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if "script" in self.open:
            self.scripts.append(data)
        elif "style" not in self.open:
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    def policy(self):
        (policy,) = [m["content"] for m in self.all("meta") if "http-equiv" in m]
        return policy

    def film(self):
        return json.loads(self.scripts[0])

    def check(self):
        """What every page keeps: whole, alone, and fit for keyboard and screen reader."""
        assert not self.open
        for tag, attributes in self.tags:
            for name in ("src", "href"):
                link = attributes.get(name)
                assert link is None or link.startswith(("#", "data:")), (tag, link)
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not re.search(r"url\((?!#)|@import", self.source)
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        links = {a[n] for _, a in self.tags for n in ("href", "aria-labelledby") if n in a}
        for link in links:
            assert link.startswith("data:") or link.removeprefix("#") in ids, link
        assert all(image.get("alt") for image in self.all("img"))
        labelled = {label["for"] for label in self.all("label")}
        assert all(control["id"] in labelled for control in self.all("input"))
        levels = [int(name[1]) for name, _ in self.tags if re.fullmatch(r"h[1-6]", name)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), levels
        assert self.all("html")[0]["lang"] == "en"
        assert "default-src 'none'" in self.policy()
        for script in self.scripts[1:]:  # the first holds data
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"script-src 'sha256-{digest}'" in self.policy()
        return self

"""The panel on real pictures with planted faults, against its functions, and its figure."""

import io
import json
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import kerasgen
from kerasgen.metrics import evaluate_panel, functional, get_extractor
from kerasgen.metrics.evaluator import cached_features
from kerasgen.plots import evaluation_figure

TRAIN, HELD_OUT = slice(0, 900), slice(900, 1350)
PERFECT = slice(1350, 1797)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    """Pictures of digits at 32x32 in random order, and their labels."""
    dataset = kerasgen.data.load_images(
        "digits", image_size=32, labels=True, seed=3, drop_remainder=False
    )
    return kerasgen.data.collect_images(dataset)


def noisy(images, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, images.shape)
    return np.clip(np.round(images + noise), 0, 255).astype(np.uint8)


def faulty(images, labels, fault):
    """What a generator with the fault would draw."""
    perfect = images[PERFECT]
    if fault == "blur":
        return np.round(gaussian_filter(perfect.astype(float), (0, 1.5, 1.5, 0))).astype(np.uint8)
    return {
        "none": perfect,
        "slight noise": noisy(perfect, 10),
        "strong noise": noisy(perfect, 50),
        "half of the classes": perfect[labels[PERFECT] < 5],
        "one picture": perfect[:1].repeat(len(perfect), 0),
        "copies": images[TRAIN][200:647],
        "held-out": images[HELD_OUT],
    }[fault]


@pytest.fixture(scope="module")
def panel(digits):
    """Makes each panel once."""
    made = {}

    def make(fault, held_out=False, classes=False):
        key = fault, held_out, classes
        if key not in made:
            images, labels = digits
            made[key] = evaluate_panel(
                faulty(images, labels, fault),
                images[TRAIN],
                images[HELD_OUT] if held_out else None,
                train_labels=labels[TRAIN] if classes else None,
            )
        return made[key]

    return make


def rows_of(panel):
    return {row.name: row for row in panel.rows}


# Planted faults


@pytest.mark.parametrize("name", ["FD", "KD"])
def test_distances_rank_the_faults(panel, name):
    perfect, slight, strong, blur = (
        rows_of(panel(fault))[name] for fault in ("none", "slight noise", "strong noise", "blur")
    )
    assert 4 * abs(perfect.value) < slight.value < strong.value / 4
    assert blur.value > 4 * abs(perfect.value)
    assert perfect.floor == slight.floor == strong.floor  # what real ones get
    assert (
        abs(perfect.value)
        < 3 * abs(perfect.floor) + 3 * rows_of(panel("none"))["KD standard error"].floor
    )


def test_noise_lowers_precision(panel):
    perfect, slight, strong = (
        rows_of(panel(fault)) for fault in ("none", "slight noise", "strong noise")
    )
    assert perfect["precision"].value > 0.9 > slight["precision"].value > strong["precision"].value
    assert strong["precision"].value < 0.1


def test_perfect_samples_are_not_remarked_on(panel):
    made = panel("none", held_out=True, classes=True)
    assert len(made.verdicts) == 1
    assert made.verdicts[0].startswith("No sign of memorised training pictures (C_T ")
    rows = rows_of(made)
    for name in ("precision", "recall", "coverage", "Vendi score", "classifier score"):
        assert rows[name].value == pytest.approx(rows[name].floor, rel=0.15), name
    assert rows["authenticity"].value == pytest.approx(rows["authenticity"].floor, abs=0.1)
    assert rows["classes"].value == rows["classes"].floor == 10
    assert abs(rows["C_T"].value) < 3


def test_missing_classes(panel):
    perfect, half = (panel(fault, classes=True) for fault in ("none", "half of the classes"))
    made, rows = panel("half of the classes", classes=True), rows_of(half)
    assert rows["classes"].value == 5 and rows["classes"].floor == 10
    assert "5 classes are never or hardly drawn." in made.verdicts
    for name in ("coverage", "recall"):
        assert rows[name].value < rows_of(perfect)[name].value - 0.1, name
    assert rows["precision"].value > 0.9  # what is drawn is good
    assert rows["class KL"].value == pytest.approx(np.log(2), abs=0.1)
    assert rows["classifier score"].value < 0.7 * rows["classifier score"].floor
    shares = np.array(list(made.classes.values()))
    assert list(made.classes) == [str(digit) for digit in range(10)]
    np.testing.assert_allclose(shares[:, 0], 0.1, atol=0.02)
    np.testing.assert_allclose(shares[:5, 1], 0.2, atol=0.05)
    np.testing.assert_allclose(shares[5:, 1], 0, atol=0.01)


def test_one_picture_over_and_over(panel):
    made = panel("one picture", held_out=True)
    rows = rows_of(made)
    assert rows["Vendi score"].value == pytest.approx(1, abs=1e-3) and rows["Vendi score"].floor > 8
    assert rows["coverage"].value < 0.1 < 0.9 < rows["coverage"].floor
    assert rows["MS-SSIM-2"].value == pytest.approx(1) and rows["MS-SSIM-2"].floor < 0.5
    assert rows["recall"].value < 0.05 and rows["precision"].value in (0, 1)
    (verdict,) = [words for words in made.verdicts if words.startswith("Much of the data")]
    assert f"coverage {rows['coverage'].value:.2f} where real pictures get " in verdict
    assert "Vendi score 1 where they get" in verdict


def test_copies_of_the_training_pictures(panel):
    made = panel("copies", held_out=True)
    rows = rows_of(made)
    assert rows["C_T"].value < -8 and abs(rows["C_T"].floor) < 3
    assert rows["authenticity"].value == 0 and rows["authenticity"].floor > 0.4
    assert "225 samples equal a training picture pixel by pixel." in made.verdicts
    assert (
        f"closer to training pictures than held-out pictures do (C_T {rows['C_T'].value:.1f})"
        in (" ".join(made.verdicts))
    )
    # By quality and diversity alone they are perfect.
    assert rows["FD"].value < 2 * rows["FD"].floor and rows["coverage"].value > 0.9
    assert not [words for words in made.verdicts if words.startswith("Much of the data")]


def test_held_out_pictures_are_not_taken_for_memorised(panel):
    made = panel("held-out", held_out=True)
    assert abs(rows_of(made)["C_T"].value) < 3
    assert [words[:23] for words in made.verdicts] == ["No sign of memorised tr"]
    np.testing.assert_array_equal(
        made.generated.pixel_distances, made.held_out.pixel_distances[:225]
    )


def test_without_held_out_pictures_memorisation_can_t_be_told(panel):
    made = panel("copies")
    assert "447 samples equal a training picture pixel by pixel." in made.verdicts
    assert made.verdicts[-1].endswith("can't be told without held-out ones.")
    assert made.held_out is None and made.classes is None
    assert not {"C_T", "authenticity", "classes"} & rows_of(made).keys()


# Values


def test_values_are_those_of_the_functions(digits, panel):
    images, labels = digits
    train, held_out = images[TRAIN], images[HELD_OUT]
    generated = faulty(images, labels, "none")[:225]
    extractor = get_extractor()
    f_train, f_held_out, f_generated = (extractor(part) for part in (train, held_out, generated))
    order = np.random.default_rng(0).permutation(450)
    floor, reference = f_held_out[order[:225]], f_held_out[order[225:]]
    half, rest = (f_held_out[part] for part in np.array_split(order, 2))
    real = held_out[order[:225]]

    def centred(features):
        return features - reference.mean(0)

    scaler = StandardScaler().fit(f_train)
    classifier = LogisticRegression(max_iter=200)
    classifier.fit(scaler.transform(f_train), labels[TRAIN])
    likely = [classifier.predict_proba(scaler.transform(part)) for part in (f_generated, floor)]
    expected = {
        "FD": [functional.frechet_distance(reference, part) for part in (f_generated, floor)],
        "KD": [functional.kernel_distance(reference, part).value for part in (f_generated, floor)],
        "recall": [functional.prdc(reference, part).recall for part in (f_generated, floor)],
        "density": [functional.prdc(reference, part).density for part in (f_generated, floor)],
        "Vendi score": [functional.vendi_score(centred(part)) for part in (f_generated, floor)],
        "MS-SSIM-2": [
            functional.ms_ssim_diversity(part, pairs=500, seed=0) for part in (generated, real)
        ],
        "C_T": [
            functional.ct_score(f_train, f_held_out, f_generated),
            functional.ct_score(f_train, half, rest),
        ],
        "authenticity": [functional.authenticity(f_train, p) for p in (f_generated, f_held_out)],
        "class KL": [functional.mode_coverage(labels[TRAIN], part.argmax(1)).kl for part in likely],
        "classifier score": [functional.classifier_score(part).value for part in likely],
    }
    assert log_loss(labels[PERFECT][:225], likely[0]) < 0.3
    rows = rows_of(panel("none", held_out=True, classes=True))
    for name, values in expected.items():
        found = rows[name].value, rows[name].floor
        np.testing.assert_allclose(found, values, rtol=2e-3, atol=1e-6, err_msg=name)


def test_table_and_dict_hold_every_row(panel):
    made = panel("none", held_out=True, classes=True)
    facts = json.loads(json.dumps(made.to_dict(), allow_nan=False))
    assert facts["verdicts"] == made.verdicts
    assert facts["classes"] == {name: list(pair) for name, pair in made.classes.items()}
    table = str(made).splitlines()
    assert table[0].split() == ["measure", "value", "floor", "better", "meaning"]
    places = [table[0].index(name) for name in ("better", "meaning")]
    assert list(facts["measures"]) == [row.name for row in made.rows]
    for line, row in zip(table[2:], made.rows, strict=False):
        words = line.split()
        assert line.startswith(f"{row.name} ")
        assert [line[place:].split("  ")[0] for place in places] == [row.better, row.meaning]
        number = len(row.name.split())
        assert words[number : number + 2] == [f"{row.value:.4g}", f"{row.floor:.4g}"]
        stored = facts["measures"][row.name]
        assert (stored["value"], stored["floor"]) == (row.value, row.floor)
        assert stored["protocol"] == f"{row.name}[{row.protocol}]"
        assert row.protocol in str(made)
    assert table[-1] == made.verdicts[-1]


def test_same_seed_same_panel(digits):
    images, _ = digits
    arguments = images[1350:1400], images[:100]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that these are few
        first, again, other = (
            evaluate_panel(*arguments, seed=seed).to_dict()["measures"] for seed in (0, 0, 1)
        )
    assert first == again
    assert first["FD"]["value"] != other["FD"]["value"]


# Neighbours


def test_neighbours_are_the_nearest(digits, panel):
    images, labels = digits
    made = panel("slight noise")
    samples, train = (
        part.reshape(len(part), -1).astype(float)
        for part in (faulty(images, labels, "slight noise")[:50], images[TRAIN])
    )
    distances = np.sqrt(((samples[:, None] - train) ** 2).sum(-1))
    np.testing.assert_array_equal(made.generated.pixel_indices[:50], distances.argmin(1))
    np.testing.assert_allclose(made.generated.pixel_distances[:50], distances.min(1), rtol=1e-6)
    extractor = get_extractor()
    features = extractor(faulty(images, labels, "slight noise")[:50])
    train_features = cached_features(extractor, images[TRAIN])
    distances = np.sqrt(((features[:, None] - train_features) ** 2).sum(-1))
    np.testing.assert_allclose(made.generated.feature_distances[:50], distances.min(1), rtol=1e-4)


def test_copies_are_their_own_neighbours(panel):
    for held_out, count in ((True, 225), (False, 447)):
        near = panel("copies", held_out).generated
        for indices in (near.pixel_indices, near.feature_indices):
            np.testing.assert_array_equal(indices, np.arange(200, 200 + count))
        assert not near.pixel_distances.any()


@pytest.mark.filterwarnings("ignore:A Fréchet distance from", "ignore:fashion-cnn")
def test_large_pictures_are_compared_shrunk():
    """One copy, one nearly, and one flat picture among colour pictures of 40x80."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (60, 5, 10, 3), dtype=np.uint8)
    train = coarse.repeat(8, 1).repeat(8, 2)
    generated = rng.integers(0, 256, (12, 40, 80, 3), dtype=np.uint8)
    generated[3], generated[4] = train[17], noisy(train[21], 3)
    made = evaluate_panel(generated, train)
    near = made.generated
    assert near.pixel_indices[[3, 4]].tolist() == near.feature_indices[[3, 4]].tolist() == [17, 21]
    assert near.pixel_distances[3] == 0
    # Noise is averaged over 1.25 x 2.5 pixels, and stays that of 32 x 32 x 3 values.
    expected = 3 * np.sqrt(32 * 32 * 3 / (1.25 * 2.5))
    assert 0.5 * expected < near.pixel_distances[4] < 1.1 * expected
    assert made.verdicts[0] == "1 sample equals a training picture pixel by pixel."


# Little and bad data


@pytest.mark.filterwarnings("ignore:A Fréchet distance from")
def test_few_pictures_leave_out_what_they_cannot_tell(digits):
    images, labels = digits
    made = evaluate_panel(images[1350:1380], images[:100], images[900:930], labels[:100] // 10)
    assert {"FD", "authenticity"} < rows_of(made).keys()
    assert not {"C_T", "classes"} & rows_of(made).keys()  # too few, and of one class
    assert made.classes is None
    assert made.verdicts == ["There are too few pictures to tell whether training ones were "
                             "memorised."]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"generated": np.zeros((9, 32, 32, 1), np.uint8)}, ValueError, "at least 10"),
        ({"held_out": np.zeros((19, 32, 32, 1), np.uint8)}, ValueError, "at least 20 real"),
        ({"train_labels": np.zeros(99, int)}, ValueError, r"\(99,\), 100 training pictures"),
        ({"generated": np.zeros((30, 32, 32, 1))}, TypeError, "uint8"),
        ({"extractor": "fashion"}, ValueError, "'fashion-cnn'"),
    ],
)
@pytest.mark.filterwarnings("ignore:A Fréchet distance from")
def test_bad_input(digits, changes, error, message):
    images, _ = digits
    with pytest.raises(error, match=message):
        evaluate_panel(**{"generated": images[1350:1390], "train": images[:100], **changes})


# The figure


def draw(figure):
    """Draws, and checks that nothing overlaps or leaves the figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png", dpi=60)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axis.get_tightbbox(renderer) for axis in figure.findobj(lambda o: hasattr(o, "bar"))]
    width, height = figure.bbox.size
    for number, box in enumerate(boxes):
        assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        for other in boxes[:number]:
            assert box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or (
                other.y1 <= box.y0
            )  # fmt: skip
    return boxes


def axes_of(figure):
    return figure.findobj(lambda artist: hasattr(artist, "bar"))


def test_figure_shows_samples_above_their_neighbours(digits, panel):
    images, labels = digits
    made = panel("slight noise")
    generated, train = faulty(images, labels, "slight noise"), images[TRAIN]
    figure = evaluation_figure(made, generated, train)
    assert len(draw(figure)) == 3
    grid = np.asarray(axes_of(figure)[0].images[0].get_array())
    assert grid.shape == (3 * 66 + 2, 12 * 66 + 2, 4)  # enlarged to 64, 2 between
    near = made.generated
    ranked = np.argsort(near.feature_distances, kind="stable")
    for column, rank in ((0, 0), (11, 446), (5, round(5 * 446 / 11))):
        sample = ranked[rank]
        of_column = (
            generated[sample],
            train[near.pixel_indices[sample]],
            train[near.feature_indices[sample]],
        )
        for row, picture in enumerate(of_column):
            top, left = 2 + 66 * row, 2 + 66 * column
            shown = grid[top : top + 64 : 2, left : left + 64 : 2, 0]
            np.testing.assert_array_equal(shown, picture[..., 0])


def test_figure_s_histograms_and_bars(digits, panel):
    images, _ = digits
    made = panel("none", held_out=True, classes=True)
    figure = evaluation_figure(made, images[PERFECT], images[TRAIN])
    assert len(draw(figure)) == 4
    _, pixels, features, classes = axes_of(figure)
    for axis, kind in ((pixels, "pixel"), (features, "feature")):
        assert [text.get_text() for text in axis.get_legend().get_texts()] == [
            "samples",
            "held-out pictures",
        ]
        assert f"in {kind}s" in axis.get_title()
        for patch, near in zip(axis.patches, (made.generated, made.held_out), strict=True):
            steps = patch.get_xy()
            distances = getattr(near, f"{kind}_distances")
            edges = np.unique(steps[:, 0])
            expected, _ = np.histogram(np.clip(distances, edges[0], edges[-1]), edges)
            assert len(expected) == 40
            heights = steps[1 : 2 * 40 : 2, 1]
            np.testing.assert_allclose(heights, expected / len(distances), atol=1e-9)
    widths = [bar.get_width() for bar in classes.patches]
    shares = np.array(list(made.classes.values()))
    np.testing.assert_allclose(widths, np.concatenate([shares[:, 0], shares[:, 1]]))
    assert [label.get_text() for label in classes.get_yticklabels()] == list("0123456789")


@pytest.mark.filterwarnings("ignore:A Fréchet distance from", "ignore:fashion-cnn")
@pytest.mark.parametrize(("shape", "classes"), [((40, 16, 4), 30), ((12, 40, 3), 2)])
def test_figure_of_other_shapes(shape, classes):
    """Tall and wide pictures, many classes with long names, fewer samples than columns."""
    pictures = np.random.default_rng(0).integers(0, 256, (120, *shape), dtype=np.uint8)
    labels = np.arange(100) % classes
    names = [f"a class called {number}" for number in range(classes)]
    made = evaluate_panel(pictures[100:110], pictures[:100], None, labels, names)
    figure = evaluation_figure(made, pictures[100:110], pictures[:100])
    boxes = draw(figure)
    image = axes_of(figure)[0].images[0]
    grid = np.asarray(image.get_array())
    columns, rows = boxes[0].size
    assert grid.shape[1] / grid.shape[0] == pytest.approx(columns / rows, rel=0.5)
    assert boxes[0].width > 0.6 * figure.bbox.width  # no room is left over
    assert boxes[0].height + boxes[1].height > 0.85 * figure.bbox.height
    background = Image.new("RGBA", (shape[1], shape[0]), "white")
    nearest = pictures[100 + np.argmin(made.generated.feature_distances)]
    shown = Image.alpha_composite(background, Image.fromarray(nearest).convert("RGBA"))
    factor = 64 // max(shape[:2])
    tile = grid[2 : 2 + factor * shape[0] : factor, 2 : 2 + factor * shape[1] : factor]
    np.testing.assert_array_equal(tile, np.asarray(shown))
    labelled = [label.get_text() for label in axes_of(figure)[3].get_yticklabels()]
    assert labelled == names[:: -(-classes // 25)]

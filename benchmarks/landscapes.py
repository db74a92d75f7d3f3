r"""Collects the photographs of `dcgan_landscapes_64`, another photographer's, or thirty in all.

apt-get download plasma-workspace-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \
    mate-backgrounds
for package in *.deb; do dpkg-deb -x "$package" unpacked; done
python benchmarks/landscapes.py unpacked            # ./landscapes, what the recipe trains on
python benchmarks/landscapes.py unpacked --others   # ./landscapes_berasategi, to train further on
python benchmarks/landscapes.py unpacked --outdoors # ./outdoors, both of these and close-ups

Any distribution's packages will do that hold these very files, which is checked by their hashes.
"""

import argparse
import hashlib
import pathlib
import shutil

from kerasgen.files import write_beside

PLASMA = "usr/share/wallpapers/{}/contents/images/2560x1600.jpg"
LOMIRI = "usr/share/backgrounds/{}.jpg"
MATE = "usr/share/backgrounds/mate/nature/{}.jpg"
# Where a photograph is in its package, and how its SHA-256 begins.
LANDSCAPES = {
    PLASMA.format("BytheWater"): "c272434ef39f2abf",
    PLASMA.format("ColdRipple"): "05bef6722fc0ed81",
    PLASMA.format("DarkestHour"): "8e3703fae3a3c217",
    PLASMA.format("EveningGlow"): "586682dcb362b9f6",
    PLASMA.format("Kite"): "bdca288ce296a981",
    PLASMA.format("Path"): "7477457d7f17b736",
    PLASMA.format("summer_1am"): "c868b50789591dd4",
    LOMIRI.format("Bridge_by_Sander_Klootwijk"): "bd86b081f9975e2b",
    LOMIRI.format("seeding_by_Clements_Engelhardt"): "a5634d1ab5e41a35",
    MATE.format("Dune"): "8a67c2cb0be8c46b",
    MATE.format("Storm"): "77ca53077831d323",
}
OTHERS = {
    LOMIRI.format("aitzgorri_by_Aitzol_Berasategi"): "66268e7b48f8854d",
    LOMIRI.format("life_by_Aitzol_Berasategi"): "4c119350ead80201",
    LOMIRI.format("picosdeeuropa_by_Aitzol_Berasategi"): "414d0072b2f6f2c5",
    LOMIRI.format("sunset_by_Aitzol_Berasategi"): "474dab6a4b9f94dc",
}
CLOSE_UPS = {
    LOMIRI.format("Dragonfly_by_Bolly"): "af5af17841009732",
    LOMIRI.format("Infinite-Sea_by_Aury88"): "9319dfb365183388",
    PLASMA.format("FallenLeaf"): "95603a6560c7e8d5",
    PLASMA.format("OneStandsOut"): "cb507baf1dafdcae",
    PLASMA.format("Volna").replace("2560x1600", "5120x2880"): "abc30b4fc6f6a83b",
    MATE.format("Aqua"): "5c30118205982da4",
    MATE.format("Blinds"): "f7aac0dcc2e06d04",
    MATE.format("FreshFlower"): "972b0a0c4e5e3fa9",
    MATE.format("Garden"): "d3095ee09d425ef2",
    MATE.format("GreenMeadow"): "8fa0de0aa4089f73",
    MATE.format("LadyBird"): "e35a9a4126ef969c",
    MATE.format("RainDrops"): "3e4ea9671c28c90a",
    MATE.format("TwoWings"): "665e5abf8a539907",
    MATE.format("Wood"): "19c78500ac00a622",
    MATE.format("YellowFlower"): "254da96256acb7ad",
}


def collect(root, photographs, out):
    """Copies photographs into a folder, which appears when it is whole.

    Args:
        root: `pathlib.Path` of the unpacked packages.
        photographs: dict of path below it -> beginning of the file's SHA-256.
        out: `pathlib.Path`, new.

    Raises:
        FileNotFoundError: a photograph that isn't there.
        ValueError: one that is another file.
    """
    with write_beside(out) as part:
        part.mkdir()
        for path, expected in photographs.items():
            file = root / path
            if not file.is_file():
                raise FileNotFoundError(
                    f"Expected the unpacked packages. Received: no {str(file)!r}"
                )
            received = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            if received != expected:
                raise ValueError(
                    f"{str(file)!r} is another picture than the recipe was made with: take it "
                    f"from Debian 12. Expected sha256={expected}... Received: {received}..."
                )
            # of Plasma's, only the directory says the name
            name = file.parents[2].name if file.parent.name == "images" else file.stem
            shutil.copyfile(file, part / f"{name}.jpg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=pathlib.Path, help="where the packages are unpacked")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--others", action="store_true", help="another photographer's")
    chosen.add_argument("--outdoors", action="store_true", help="all, and close-ups")
    arguments = parser.parse_args()
    name, photographs = "landscapes", LANDSCAPES
    if arguments.others:
        name, photographs = "landscapes_berasategi", OTHERS
    if arguments.outdoors:
        name, photographs = "outdoors", {**LANDSCAPES, **OTHERS, **CLOSE_UPS}
    collect(arguments.root, photographs, pathlib.Path(name))
    print(f"{len(photographs)} photographs: {name}")


if __name__ == "__main__":
    main()

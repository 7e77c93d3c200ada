"""get_fonts.py, with an npm that hands out archives made here."""
import csv
import io
import json
import os
import sys
import tarfile

import pytest

import get_fonts
import render
from command import UserError

LATIN = ["latin", "latin-ext"]
FAMILIES = {  # as google-font-metadata has them
    "good-sans": {"family": "Good Sans", "subsets": LATIN, "weights": [300, 400, 900], "styles": ["italic", "normal"],
                  "category": "sans-serif"},
    "big-caps": {"family": "Big Caps", "subsets": LATIN, "weights": [700], "styles": ["normal"], "category": "display"},
    "broken": {"family": "Broken", "subsets": LATIN, "weights": [400], "styles": ["normal"], "category": "serif"},
    "gone": {"family": "Gone", "subsets": LATIN, "weights": [400], "styles": ["normal"], "category": "serif"},
    "kalam": {"family": "Kalam", "subsets": LATIN, "weights": [400], "styles": ["normal"], "category": "handwriting"},
    "sans-jp": {"family": "Sans JP", "subsets": [*LATIN, "japanese"], "weights": [400], "styles": ["normal"],
                "category": "sans-serif"},
    "libre-barcode": {"family": "Libre Barcode", "subsets": LATIN, "weights": [400], "styles": ["normal"],
                      "category": "display"},
}
NPM = """#!{python}
import json, pathlib, shutil, sys
packages, shop, found = sys.argv[4:], pathlib.Path({shop!r}), []
assert sys.argv[1:4] == ["pack", "--json", "--silent"]
with open(shop / "asked.txt", "a") as file:
    print(*packages, file=file)
for package in packages:
    name = package.replace("@", "").replace("/", "-") + "-1.2.3.tgz"
    if not (shop / name).exists():
        print(json.dumps({{"error": {{"code": "E404", "summary": "no", "detail": f"'{{package}}@*' not found"}}}}))
        sys.exit(1)
    shutil.copy(shop / name, name)
    found.append({{"name": package, "version": "1.2.3", "filename": package + "-1.2.3.tgz"}})
print(json.dumps(found))
"""


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of packages, which the first npm on the PATH hands out; asked.txt says what it was asked for."""
    shop = tmp_path / "shop"
    shop.mkdir()
    families = {**FAMILIES, "kin": {**FAMILIES["gone"], "family": held_out_family().split()[0] + " Kin"}}
    archive(shop / "google-font-metadata-1.2.3.tgz", {"data/google-fonts-v1.json": json.dumps(families).encode()})
    roboto, caps = ((render.FONTS / f"{name}-latin-400-normal.woff2").read_bytes()
                    for name in ("roboto", "bebas-neue"))  # the latter draws capitals for small letters
    licence = {"package.json": json.dumps({"license": "OFL-1.1"}).encode()}
    styles = "300-normal", "400-normal", "400-italic", "900-normal"
    archive(shop / "fontsource-good-sans-1.2.3.tgz",
            {**licence, **{f"files/good-sans-latin-{style}.woff2": roboto for style in styles}})
    archive(shop / "fontsource-big-caps-1.2.3.tgz", {**licence, "files/big-caps-latin-700-normal.woff2": caps})
    archive(shop / "fontsource-broken-1.2.3.tgz", {**licence, "files/broken-latin-400-normal.woff2": roboto[:500]})
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(NPM.format(python=sys.executable, shop=str(shop)))
    (tmp_path / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return shop


def own_rows():
    with open(render.FONTS / "manifest.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def held_out_family():
    return next(row["family"] for row in own_rows() if row["split"] == "valid")


def test_the_regular_the_boldest_and_the_slanted_face_of_a_family_are_fetched(shop, tmp_path, capsys):
    get_fonts.main(["-o", str(tmp_path / "more")])
    own, rows = own_rows(), get_fonts.read_manifest(tmp_path / "more")[0]
    assert rows[:len(own)] == own
    assert [(row["file"], row["family"], row["group"], row["licence"], row["package"], row["version"], row["caps_only"],
             row["split"]) for row in rows[len(own):]] == [
        ("big-caps-latin-700-normal.woff2", "Big Caps", "other", "OFL-1.1", "@fontsource/big-caps", "1.2.3", "1", "train"),
        *((f"good-sans-latin-{style}.woff2", "Good Sans", "other", "OFL-1.1", "@fontsource/good-sans", "1.2.3", "0", "train")
          for style in ("400-italic", "400-normal", "900-normal"))]
    assert {row["file"] for row in rows} == {path.name for path in (tmp_path / "more").glob("*.woff2")}
    assert f"{len(rows)} faces" in capsys.readouterr().out
    asked = (shop / "asked.txt").read_text()
    assert "jp" not in asked and "kin" not in asked and "barcode" not in asked and "kalam" not in asked
    fonts, before = render.Fonts(tmp_path / "more"), render.Fonts(render.FONTS)
    for split, more in (("train", 4), ("valid", 0), ("test", 0)):
        assert len(fonts.faces[split]) == len(before.faces[split]) + more


def test_what_is_there_is_not_fetched_again(shop, tmp_path):
    folder = tmp_path / "more"
    get_fonts.main(["-o", str(folder), "--families", "1"])
    first = (folder / "manifest.csv").read_text()
    (folder / "kalam-latin-400-normal.woff2").unlink()  # as after a break in the first copy
    (shop / "asked.txt").unlink()
    get_fonts.main(["-o", str(folder)])
    assert "big-caps" not in (shop / "asked.txt").read_text()
    assert (folder / "manifest.csv").read_text().startswith(first)
    assert (folder / "kalam-latin-400-normal.woff2").is_file()


def test_a_folder_of_other_things_is_left_alone(shop, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty and has no manifest.csv"):
        get_fonts.main(["-o", str(tmp_path)])
    with pytest.raises(UserError, match="--families: 0"):
        get_fonts.main(["-o", str(tmp_path / "more"), "--families", "0"])


def test_npm_missing_or_failing_is_told_in_a_line(shop, tmp_path, monkeypatch):
    npm = tmp_path / "bin" / "npm"
    npm.write_text("#!/bin/sh\necho '{\"error\": {\"code\": \"ENOTFOUND\", \"summary\": \"no network\"}}'\nexit 1\n")
    with pytest.raises(UserError, match="no network"):
        get_fonts.main(["-o", str(tmp_path / "more")])
    npm.write_text("#!/bin/sh\necho 'npm: broken' >&2\nexit 1\n")
    with pytest.raises(UserError, match="npm: broken"):
        get_fonts.main(["-o", str(tmp_path / "more")])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm is not installed"):
        get_fonts.main(["-o", str(tmp_path / "more")])

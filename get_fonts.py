"""Fetch more fonts to draw words with: over a thousand faces of Google Fonts, from npm's packages @fontsource/*.

    python get_fonts.py -o more_fonts
    python train.py --synth 500000 --fonts more_fonts ...

Needs npm (of Node.js). The folder also gets the project's own fonts/, with the families they hold out for validation, and a
manifest.csv that says where every face comes from and what its licence is. Run again, it goes on where it stopped. A face
counts as one of capitals alone if its "a" is its "A"; small capitals of another size are taken for small letters.
"""
import csv
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tqdm import tqdm

import command
from command import UserError, whole
from render.options import FONTS

fonts = command.later("render.fonts")

FAMILIES = "google-font-metadata"  # the package that lists them
SCRIPTS = {"latin", "latin-ext", "vietnamese", "cyrillic", "cyrillic-ext", "greek", "greek-ext", "math", "menu", "symbols"}
LEFT_OUT = ("barcode", "flow-", "redacted", "noto-", "playwrite-", "linefont", "wavefont")  # or the same ones many times
AT_ONCE = 20  # packages


def parse_args(argv=None):
    parser = command.Parser(__doc__)
    parser.add_argument("-o", "--output", required=True, metavar="DIR", type=Path, help="folder of the fonts")
    parser.add_argument("--families", type=whole(1), metavar="N", help="so many families at most (default: all, some 800)")
    args = parser.parse_args(argv)
    if args.output.exists() and not args.output.is_dir():
        raise UserError(f"-o {args.output}: is no folder; give a new one")
    if not shutil.which("npm"):
        raise UserError("npm is not installed; get it with Node.js, from your system's packages")
    return args


def pack(packages, folder):
    """The archives of npm packages, loaded into a folder, {package: (version, path)}; without those that do not exist."""
    while packages:
        done = subprocess.run(["npm", "pack", "--json", "--silent", *packages], cwd=folder, capture_output=True, text=True)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise UserError(f"npm pack failed: {(done.stderr or done.stdout or 'no reason given')[-200:]}") from None
        if not done.returncode:
            return {row["name"]: (row["version"], Path(folder) / row["filename"].replace("@", "").replace("/", "-"))
                    for row in answer}
        unknown = [package for package in packages if f"'{package}@" in answer["error"].get("detail", "")]
        if answer["error"].get("code") != "E404" or not unknown:
            raise UserError(f"npm pack failed: {answer['error'].get('summary', answer['error'])}")
        packages = [package for package in packages if package not in unknown]
    return {}


def list_families(folder):
    """Google Fonts' families that write Latin letters, but no script of thousands of signs: {id: facts}."""
    _, archive = pack([FAMILIES], folder)[FAMILIES]
    with tarfile.open(archive) as files:
        families = json.load(files.extractfile("package/data/google-fonts-v1.json"))
    return {name: facts for name, facts in sorted(families.items())
            if "latin" in facts["subsets"] and SCRIPTS.issuperset(facts["subsets"])
            and not any(part in name for part in LEFT_OUT)}


def choose_styles(facts):
    """Up to three (weight, style) of a family: the regular one, the boldest and the slanted one."""
    weights = sorted(facts["weights"], key=lambda weight: abs(weight - 400))
    style = "normal" if "normal" in facts["styles"] else facts["styles"][0]
    chosen = {(weights[0], style), (max(weights), style)}
    return sorted(chosen | ({(weights[0], "italic")} if "italic" in facts["styles"] else set()))


def unpack(name, facts, version, archive, output):
    """Take a family's faces out of its package: rows for the manifest."""
    rows = []
    with tarfile.open(archive) as files:
        licence = json.load(files.extractfile("package/package.json"))["license"]
        names = set(files.getnames())
        for weight, style in choose_styles(facts):
            file = f"{name}-latin-{weight}-{style}.woff2"
            if f"package/files/{file}" not in names:
                continue
            with command.written_whole(output / file) as beside:
                beside.write_bytes(files.extractfile(f"package/files/{file}").read())
            try:
                face = fonts.Face(output / file)
            except Exception:  # FreeType's complaints come in several classes
                (output / file).unlink()
                print(f"{file}: left out, not a readable font", file=sys.stderr)
                continue
            font = face.at(fonts.SIZES[1])
            rows.append({"file": file, "family": facts["family"], "weight": weight, "licence": licence, "version": version,
                         "group": "handwriting" if facts["category"] == "handwriting" else "other",
                         "category": facts["category"], "package": f"@fontsource/{name}", "split": "train",
                         "unevenness": face.unevenness,
                         "caps_only": int(bytes(font.getmask("a")) == bytes(font.getmask("A"))),
                         "missing": "".join(sorted(face.missing))})
    return rows


def read_manifest(folder):
    """The rows of a folder's manifest.csv, and its columns."""
    if not (folder / "manifest.csv").is_file():
        return [], []
    with open(folder / "manifest.csv", encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return list(reader), list(reader.fieldnames)


def write_manifest(folder, columns, rows):
    command.write_csv(folder / "manifest.csv", [columns, *([row.get(column, "") for column in columns] for row in rows)])


def fetch(output, rows, columns, most):
    """Add the faces of at most `most` more families (None: of all) to a folder and to the rows of its manifest.

    Returns how many families were asked for and how many of them gave a face."""
    # a family held out for validation has no kin (Roboto, Roboto Slab) among those to train on
    held_out = {row["family"].split()[0] for row in rows if row["split"] != "train"}
    present, found = {row["family"] for row in rows}, 0
    with tempfile.TemporaryDirectory() as folder:
        families = list_families(folder)
        wanted = [name for name, facts in families.items()
                  if facts["family"] not in present and facts["family"].split()[0] not in held_out][:most]
        for k in tqdm(range(0, len(wanted), AT_ONCE), unit=f"{AT_ONCE} families", file=sys.stderr):
            packed = pack([f"@fontsource/{name}" for name in wanted[k:k + AT_ONCE]], folder)
            for package, (version, archive) in packed.items():
                name = package.removeprefix("@fontsource/")
                new = unpack(name, families[name], version, archive, output)
                rows += new
                found += bool(new)
                archive.unlink()
            write_manifest(output, columns, rows)
    return len(wanted), found


def main(argv=None):
    args = parse_args(argv)
    own, columns = read_manifest(FONTS)
    rows = read_manifest(args.output)[0]
    if not rows and not command.is_empty(args.output):
        raise UserError(f"-o {args.output}: is not empty and has no manifest.csv; give a new folder")
    rows = rows or own
    args.output.mkdir(parents=True, exist_ok=True)
    with command.locked(args.output):
        write_manifest(args.output, columns, rows)
        shutil.copytree(FONTS, args.output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("manifest.csv"))
        asked, found = fetch(args.output, rows, columns, args.families)
    families = command.count(len({row["family"] for row in rows}), "family", "families")
    print(f"{args.output}: {command.count(len(rows), 'face')} of {families}; of {asked:,} that were asked "
          f"for now, {asked - found:,} were not to be had")


if __name__ == "__main__":
    command.run(main)

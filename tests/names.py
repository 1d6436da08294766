"""Names that files, labels, folders and keys may have: the one table that tests of names go by."""

import os
from pathlib import Path

from tests.conftest import photograph

NAMES = (
    *("a b", " begins with a blank", "ends with a blank ", "dot.", "..dots", ".hidden", "_x", "a'b", 'a"b', "a`id`b"),
    *("a%20b", "100%", "a#b", "a?b", "a[1]b", "a{1}b", "a*b", "a\\b", "\\", "$HOME", "$1", "a:b", "a;b", "a|b", "a,b"),
    *("a&b", "a+b", "<b>", "!x", "{{ 7*7 }}", "-x", "--help", "=1+1", "+1", "@x", "~x", "~", "file:", "s3:"),
    *("a\nb", "a\tb", "a\rb", "a\x1b[31mb", "\x01", "\x7f", "a\u2028b", "a\u200bb", "\ufeffx", "\u202eeht"),
    *(
        "café",
        "cafe\u0301",
        "漢字",
        "🍎",
        "👨\u200d👩\u200d👧",
        "שלום",
        "\u3000wide",
        "Ａpple",
        "null",
        "None",
        "NaN",
        "1e5",
    ),
    *("n" * 251, "é" * 125),
)
"""Each a label and, with `.png` behind it, a photograph: any name that a disk takes and that is UTF-8."""

NOT_UTF8 = os.fsdecode(b"caf\xe9")
"""As disks of other systems have it; a table cannot."""

FILES = ("-x", "~x", "=1", "a%20b#?", "a\x1b[31m\nb", " a ", "a'\"b", "a*[1]{2}\\b", "é" * 125, "n" * 251, NOT_UTF8)
"""Names of files that are written, before what tells their format."""

LAKE = '-x {of} [2024] a*b it\'s "q" $HOME `id` é e\u0301 漢 🍎 \u202eשלום a+b:c,;&=<>|^~!@() .'
"""All that a lake's name may hold, in a name."""
FOLDER = LAKE + " %20#?\\\n\t\x1b"
"""All that any other folder's may: that of photographs, a home, a cache, one for temporary files."""

LAKE_KEY = '[2024] a*b {of} é🍎/-x it\'s "q" $HOME `|~!@(a+b:c,;&=<>) ./\u202eש'
"""As LAKE, of a lake on S3: in parts, for delta-rs asks for an encoded key, and a server with a disk for 255 bytes."""
FOLDER_KEY = FOLDER.replace("\x1b", "")
"""As FOLDER, of a folder of photographs on S3; versitygw lists another character in place of what XML cannot hold."""

NO_LAKE = {
    **{f"a{one}b": f"named without {one}" for one in "%#?\\"},
    **{f"a{one}b": f"named without {shown}" for one, shown in {"\n": r"\n", "\t": r"\t", "\x1b": r"\x1b"}.items()},
    "a%20b": "named without %",
    NOT_UTF8: "is not UTF-8",
    "a\0b": "NUL",
    " ": "a folder's name is needed",
}
"""What no lake's name holds, and what is said of it."""


def odd_photographs(folder: Path) -> dict[str, Path]:
    """A photograph under each of NAMES in a folder of that name; returns the files by these names."""
    paths = {name: folder / name / f"{name}.png" for name in NAMES}
    for seed, path in enumerate(paths.values()):
        path.parent.mkdir(parents=True)
        path.write_bytes(photograph(seed))
    return paths

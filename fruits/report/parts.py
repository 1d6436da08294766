"""What the sections are made of: words with code in them, names, pictures."""

from fruits.report.markup import Html, element, join, text

UNLABELLED = "(no label)"
LABELS_LISTED = 200
NO_PROJECTIONS = "There are no projections yet: `fruits run` makes them."


def words_of(words: str) -> Html:
    """A paragraph of our own words; what stands in backquotes is code."""
    return element("p", with_code(words))


def with_code(words: str) -> Html:
    """Words of ours, in which what stands in backquotes is code."""
    return join(*(element("code", part) if n % 2 else text(part) for n, part in enumerate(words.split("`"))))


def key(part: int, words: str) -> Html:
    """A column's heading with the colour of its part of the bars."""
    return join(element("span", class_=f"key key{part % 4}"), words)


def label_name(label: str | None) -> str:
    """A label, or words for none."""
    return UNLABELLED if label is None else label


def file_name(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def short_path(path: str) -> str:
    """The last two parts of a path."""
    return "/".join(path.split("/")[-2:])


def image(content: str, words: str) -> Html:
    """A picture within the page; `content` is base64 of WebP, `words` what is told in its place."""
    return element("img", src=f"data:image/webp;base64,{content}", alt=words)


def no_picture() -> Html:
    """What stands where a picture is not at hand."""
    return element("span", "no picture", class_="none")


def card(path: str, words: str, thumbnails: dict[str, str], content: str | None = None) -> Html:
    """A photograph with its name; `content` is the path of the same bytes where its own is not at hand."""
    found = thumbnails.get(path) or thumbnails.get(content or path)
    picture = image(found, f"{words or 'photograph'}: {file_name(path)}") if found else no_picture()
    return element(
        "li", picture, element("span", words) if words else None, element("small", file_name(path)), title=path
    )

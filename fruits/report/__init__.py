"""`fruits report`: what a lake holds and what its components show, in one HTML file that needs no network."""

from fruits.console import bars
from fruits.query.sql import READING, explained
from fruits.report.contents import gather
from fruits.report.page import make_page
from fruits.settings import Settings
from lakehouse.errors import SettingsError
from lakehouse.storage import write_file
from lakehouse.storage.uri import absolute_uri, native_name
from lakehouse.tables.delta import Lake


def write_report(settings: Settings, output: str) -> str:
    """Write the report to a file, or an object on S3, that is there whole or not at all; returns its name.

    Raises:
        SettingsError: no file has such a name.
        LakehouseError: the lake has no table, or one that cannot be read.
        StorageError: the file cannot be written.
    """
    try:
        uri = absolute_uri(output)
    except ValueError as error:
        raise SettingsError(f"The report has no such name as {output!r}: {error}") from error
    with bars("report") as progress:
        try:
            gathered = gather(settings, progress)
        except READING as error:
            raise explained(error, Lake(settings.lake)) from error
        page = make_page(gathered)
    write_file(uri, page.encode())
    return native_name(uri)

"""Links items to what they belong to: parents, polls and authors. A mirror declares no foreign keys."""

from datasette import hookimpl
from markupsafe import Markup, escape

ITEMS = {"parent", "poll", "item"}
TABLES_OF_ITEMS = {"lists", "stories", "item_history", "absent", "failures"}


@hookimpl
def render_cell(value, column, table, database, datasette):
    if value is None or database is None:
        return None
    is_item = column in ITEMS or column == "id" and table in TABLES_OF_ITEMS
    if is_item and isinstance(value, int):
        address = datasette.urls.row(database, "items", str(value))
    elif column == "by" and isinstance(value, str):
        address = datasette.urls.table(database, "items") + "?by__exact=" + value
    else:
        return None
    return Markup('<a href="{}">{}</a>').format(escape(str(address)), value)

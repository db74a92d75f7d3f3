"""Help with mistyped names."""

import difflib


def nearest(name, names):
    """The known names nearest to a mistyped one, as a clause for a message ('' if none is)."""
    close = difflib.get_close_matches(str(name), list(names), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(c) for c in close)}?" if close else ""

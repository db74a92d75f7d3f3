"""What a source of pictures is: a sequence of `(name, raw, label)` and no more.

`raw` is what `kerasgen.data.pictures.read_picture` reads: a path, encoded bytes, or an array.
"""


class Source:
    """A finite, ordered collection of pictures.

    Attributes:
        kind: str. What the source is, for messages: "digits", "folder PATH", "TFDS NAME", ...
        class_names: list of str, or None if the pictures carry no labels.
        cache_key: bytes, or None. Identifies the content cheaply, for a cache that outlives the
            process; None for what is in memory anyway.
        target: tuple of an image size and channels. What the pictures will be made, once that is
            known: a source whose pictures are much larger may already shrink them.
        value_range: None for 8-bit pictures, (-1.0, 1.0) for float arrays.
    """

    value_range = None
    cache_key = None
    target = (None, None)

    def __init__(self, kind, items, labels=None, class_names=None):
        self.kind = kind
        self.items = items
        self.labels = labels
        self.class_names = class_names

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        labels = self.labels if self.labels is not None else [-1] * len(self)
        for index, (item, label) in enumerate(zip(self.items, labels, strict=True)):
            yield self.name(index, item), item, int(label)

    def name(self, index, item):
        """What to call picture `index` in a message."""
        return item if isinstance(item, str) else f"picture {index}"

    def sample(self, limit=256):
        """At most `limit` raw pictures, evenly spread over the source."""
        step = max(1, len(self) // limit)
        return [self.items[i] for i in range(0, len(self), step)]

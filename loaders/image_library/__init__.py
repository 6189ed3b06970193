"""Images of the characters: the Python functions of the database `image_library`."""

from loaders.image_library.images import (
    DERIVED,
    add_image,
    add_to_collection,
    check,
    pick_image,
    use_image,
)

__all__ = [
    "DERIVED",
    "add_image",
    "add_to_collection",
    "check",
    "pick_image",
    "use_image",
]

"""Draws the image files of the sample rows: small faces of the two characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dailies.web.thumbnails import candidates, images_dir

SCALE = 4  # the rows tell of larger images
COLORS = {"nutsy": "#b5602f", "butcher": "#d9a38c"}
BACKGROUNDS = {
    "angry": "#7a2e2e",
    "confused": "#5d6d7e",
    "excited": "#f2b632",
    "happy": "#7fb069",
    "neutral": "#a7b3b8",
    "sad": "#4a6fa5",
    "sarcastic": "#8e6c88",
    "surprised": "#e07a5f",
}
SMILES = {"happy": (20, 160), "excited": (0, 180), "sad": (200, 340), "angry": (200, 340)}
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}


def draw(row: dict[str, Any]) -> Path:
    """The file of a row, in the folder of images; one that exists is left as it is."""
    root = images_dir()
    file = root / candidates(root, row["file_path"])[0]
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        size = (row["width"] // SCALE, row["height"] // SCALE)
        face(row, size).save(file, FORMATS[row["format"]])
    return file


def face(row: dict[str, Any], size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, BACKGROUNDS.get(row["emotion"], "#cccccc"))
    canvas = ImageDraw.Draw(image)
    x, y, radius = size[0] // 2, size[1] // 2, min(size) // 3
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), COLORS[row["character"]])
    for side in (-1, 1):
        eye = (x + side * radius // 2, y - radius // 4)
        canvas.ellipse((eye[0] - 6, eye[1] - 6, eye[0] + 6, eye[1] + 6), "#222222")
        if row["character"] == "nutsy":  # ears
            tip = (x + side * radius, y - radius - 12)
            canvas.polygon([tip, (x + side * radius // 3, y - radius + 4), (x + side * radius, y)])
    mouth = (x - radius // 2, y, x + radius // 2, y + radius * 2 // 3)
    canvas.arc(mouth, *SMILES.get(row["emotion"], (80, 100)), "#222222", 5)
    return image


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size

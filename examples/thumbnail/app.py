"""A picture made small: Pillow, with its native code, in an isolate.

The event holds the picture as base64 in `image`, and may hold the most `width` and `height` that
the thumbnail may have, and its `format`. The picture keeps its proportions, and stands upright
whatever way the camera was held.
"""

import base64
import io

from PIL import Image, ImageOps

FORMATS = {"JPEG", "PNG", "WEBP"}
LARGEST = 40_000_000  # pixels; a small file can hold a picture that no memory holds

Image.MAX_IMAGE_PIXELS = LARGEST


def lambda_handler(event, context):
    size = (int(event.get("width", 160)), int(event.get("height", 160)))
    wanted = event.get("format", "JPEG")
    if wanted not in FORMATS:
        raise ValueError(f"format {wanted} is not one of {', '.join(sorted(FORMATS))}")

    picture = Image.open(io.BytesIO(base64.b64decode(event["image"], validate=True)))
    original = picture.size
    picture = ImageOps.exif_transpose(picture)
    picture.thumbnail(size)
    if wanted == "JPEG":
        picture = picture.convert("RGB")
    small = io.BytesIO()
    picture.save(small, wanted)
    return {
        "original": {"width": original[0], "height": original[1]},
        "width": picture.width,
        "height": picture.height,
        "format": wanted,
        "image": base64.b64encode(small.getvalue()).decode(),
    }

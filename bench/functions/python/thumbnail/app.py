"""A photograph made small by Pillow: decoded from JPEG, scaled, and encoded again."""

import base64
import io
import pathlib

from PIL import Image

HERE = pathlib.Path(__file__).parent


def handler(event, context):
    picture = Image.open(HERE / event["file"])
    picture = picture.resize((event["width"], event["height"]), Image.BOX)
    small = io.BytesIO()
    picture.save(small, "JPEG", quality=90)
    return {"jpeg": base64.b64encode(small.getvalue()).decode()}

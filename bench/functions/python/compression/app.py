"""Files packed into an archive: zlib over half a megabyte of text, written to and read from /tmp."""

import base64
import pathlib
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent


def handler(event, context):
    with tempfile.TemporaryDirectory() as folder:
        packed = pathlib.Path(folder) / "packed.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name in event["files"]:
                archive.writestr(zipfile.ZipInfo(name), (HERE / name).read_bytes(), zipfile.ZIP_DEFLATED)
        return {"zip": base64.b64encode(packed.read_bytes()).decode()}

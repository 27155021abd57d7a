"""A video as an animated GIF: ffmpeg as a child process, through files in /tmp."""

import base64
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent


def handler(event, context):
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "out.gif"
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", HERE / event["file"], "-vf",
                        f"fps={event['fps']},scale={event['width']}:{event['height']}", output],
                       check=True, stdin=subprocess.DEVNULL)
        return {"gif": base64.b64encode(output.read_bytes()).decode()}

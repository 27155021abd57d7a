"""What the functions of the suite are given: made here, the same everywhere and every time.

A generator of our own instead of random's, so that no version of Python changes a figure.
"""

import csv
import io
import math
import subprocess

WORDS = ("cloud memory isolate event clone template thread page kernel signal queue request reply launch warm cold "
         "runtime handler supervisor table index buffer socket timer process copy write read share park resume").split()
PICTURE = 640, 480
SMALL = 160, 120
REGIONS = "north east south west".split()
BASES = "ACGT"


class Numbers:
    """A linear congruential generator, after Knuth's MMIX."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return (self.state >> 33) % limit

    def choice(self, values):
        return values[self.below(len(values))]


def text(size, seed=1):
    numbers, lines, length = Numbers(seed), [], 0
    while length < size:
        line = " ".join(numbers.choice(WORDS) for _ in range(8 + numbers.below(8)))
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines)[:size]


def pixel(x, y):
    """Of the picture: soft colours with a disc and a frame in it."""
    inside = (x - 240) ** 2 + (y - 200) ** 2 < 120 ** 2
    edge = min(x, y, PICTURE[0] - 1 - x, PICTURE[1] - 1 - y) < 24
    red = 128 + 100 * math.sin(x / 60)
    green = 128 + 100 * math.sin(y / 45)
    blue = 40 + 160 * x / PICTURE[0]
    return int(220 if inside else red), int(green), int(30 if edge else blue)


def pixels():
    width, height = PICTURE
    return bytes(value for y in range(height) for x in range(width) for value in pixel(x, y))


def jpeg(raw):
    from PIL import Image
    encoded = io.BytesIO()
    Image.frombytes("RGB", PICTURE, raw).save(encoded, "JPEG", quality=92)
    return encoded.getvalue()


def box_means(raw, size, wanted):
    """A picture scaled down by whole factors: each new pixel the mean of the old ones that it stands for."""
    across, down = size[0] // wanted[0], size[1] // wanted[1]
    small = bytearray()
    for y in range(wanted[1]):
        rows = [raw[(y * down + row) * size[0] * 3:(y * down + row + 1) * size[0] * 3] for row in range(down)]
        for x in range(wanted[0]):
            parts = [row[x * across * 3:(x + 1) * across * 3] for row in rows]
            small += bytes(round(sum(sum(part[colour::3]) for part in parts) / (across * down)) for colour in range(3))
    return bytes(small)


def graph(vertices=4000, links=3, seed=7):
    """Edges (from, to, weight) of a connected graph that grows by preference for what is well connected."""
    numbers, edges, ends = Numbers(seed), {}, [0]
    for vertex in range(1, vertices):
        for target in {numbers.choice(ends) for _ in range(links)}:
            edges[target, vertex] = 1 + numbers.below(1000)
            ends += target, vertex
    return [(a, b, weight) for (a, b), weight in edges.items()]


def genome(bases=200000, seed=11):
    """A FASTA file; some stretches favour some bases, so that there is something to see."""
    numbers, favourite, sequence = Numbers(seed), "A", []
    for index in range(bases):
        if index % 4000 == 0:
            favourite = numbers.choice(BASES)
        sequence.append(favourite if numbers.below(4) == 0 else numbers.choice(BASES))
    lines = ["".join(sequence[at:at + 80]) for at in range(0, bases, 80)]
    return ">made for polyvisor's benchmarks\n" + "\n".join(lines) + "\n"


def sales(rows=20000, seed=13):
    numbers = Numbers(seed)
    return [{"month": 1 + numbers.below(12), "region": numbers.choice(REGIONS), "product": f"product-{numbers.below(200):03}",
             "quantity": 1 + numbers.below(9), "cents": 100 + numbers.below(20000), "returned": numbers.below(20) == 0}
            for _ in range(rows)]


def sales_csv(rows):
    written = io.StringIO()
    table = csv.DictWriter(written, rows[0], lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return written.getvalue()


def page(rows=100, seed=17):
    numbers = Numbers(seed)
    return {"title": "Orders & <returns>", "rows": [
        {"name": f"{numbers.choice(WORDS)} <{index}>", "total": numbers.below(1000)} for index in range(rows)]}


def orders(count=200, seed=19):
    numbers = Numbers(seed)
    return {"orders": [
        {"number": index, "customer": f"customer-{numbers.below(40):02}", "cancelled": numbers.below(8) == 0, "items": [
            {"article": f"article-{numbers.below(500):03}", "quantity": 1 + numbers.below(5), "cents": 50 + numbers.below(9950)}
            for _ in range(1 + numbers.below(6))]}
        for index in range(count)]}


def video(path):
    """Two seconds of a moving test picture, H.264."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=24:duration=2",
                    "-pix_fmt", "yuv420p", "-threads", "1", path], check=True, stdin=subprocess.DEVNULL, timeout=60)


def video_frames(path, fps, width, height):
    """What is to be seen in it, as raw pictures, for comparison."""
    raw = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf", f"fps={fps},scale={width}:{height}",
                          "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, timeout=60).stdout
    size = width * height * 3
    return [raw[at:at + size] for at in range(0, len(raw), size)]

"""One case for each function of the suite: what it is given, and what it must answer.

A maker `make_X(folder)` puts the function's input files into its folder and returns (event, expected), both plain
JSON; the expected answer is computed here by other means than the function's: by hand, or by the standard library.
A check `check_X(reply, expected)` returns None, or one sentence that says what is wrong with the reply.
"""

import base64
import hashlib
import heapq
import html
import io
import json
import subprocess
import zipfile

from functions import inputs

SERVER = "@SERVER@"  # in events, for the address of the server
NAME = "Świat 🌍"
PAGE_ROW = "<tr{large}><td>{index}</td><td>{name}</td><td>{total}</td></tr>\n"
PICTURE_DISTANCE = 6  # mean difference of a colour, of 255; lossy formats have 1 to 3
FRAME_DISTANCE = 16   # of the few colours of a GIF, looked at in blocks


def check_equal(reply, expected):
    if reply == expected:
        return None
    return f"the reply is {shortened(reply)} instead of {shortened(expected)}"


def shortened(value):
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


def make_hello(folder):
    return {"name": NAME}, {"hello": NAME}


def escaped(text):
    """As template engines have it: quotes stay out of these inputs, on which they differ."""
    return html.escape(text, quote=False)


def make_page(folder):
    event = inputs.page()
    title = escaped(event["title"])
    rows = "".join(PAGE_ROW.format(index=index, name=escaped(row["name"]), total=row["total"],
                                   large=' class="large"' if row["total"] > 500 else "")
                   for index, row in enumerate(event["rows"], 1))
    return event, {"html": f"<!DOCTYPE html>\n<title>{title}</title>\n<h1>{title}</h1>\n<table>\n{rows}</table>"}


def check_page(reply, expected):
    return check_equal({"html": reply["html"].strip()}, expected)


def make_thumbnail(folder):
    raw = inputs.pixels()
    (folder / "picture.jpg").write_bytes(inputs.jpeg(raw))
    width, height = inputs.SMALL
    return ({"file": "picture.jpg", "width": width, "height": height},
            {"pixels": base64.b64encode(inputs.box_means(raw, inputs.PICTURE, inputs.SMALL)).decode()})


def distance(a, b):
    return sum(abs(x - y) for x, y in zip(a, b)) / len(b)


def check_thumbnail(reply, expected):
    from PIL import Image
    picture = Image.open(io.BytesIO(base64.b64decode(reply["jpeg"])))
    if (picture.format, picture.size) != ("JPEG", inputs.SMALL):
        return f"the picture is a {picture.format} of {picture.size} instead of a JPEG of {inputs.SMALL}"
    away = distance(picture.convert("RGB").tobytes(), base64.b64decode(expected["pixels"]))
    return None if away < PICTURE_DISTANCE else f"the colours of the picture are wrong by {away:.1f} on average"


def make_compression(folder):
    files = {f"text-{index}.txt": inputs.text(128 << 10, seed=index + 1) for index in range(4)}
    for name, content in files.items():
        (folder / name).write_text(content)
    return {"files": list(files)}, {name: hashlib.sha256(content.encode()).hexdigest() for name, content in files.items()}


def check_compression(reply, expected):
    packed = base64.b64decode(reply["zip"])
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if any(entry.compress_type != zipfile.ZIP_DEFLATED for entry in archive.infolist()):
            return "a file in the archive is not compressed"
        return check_equal({name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}, expected)


def write_graph(folder):
    edges = inputs.graph()
    (folder / "graph.txt").write_text("".join(f"{a} {b} {weight}\n" for a, b, weight in edges))
    return edges


def neighbours(edges):
    result = [[] for _ in range(1 + max(max(a, b) for a, b, _ in edges))]
    for a, b, weight in edges:
        result[a].append((b, weight))
        result[b].append((a, weight))
    return result


def make_bfs(folder):
    near, first = neighbours(write_graph(folder)), 0
    seen, layer, layers = {first}, [first], []
    while layer:
        layers.append(len(layer))
        layer = list(dict.fromkeys(b for a in layer for b, _ in near[a] if b not in seen))
        seen.update(layer)
    return {"file": "graph.txt", "from": first}, {"reached": len(seen), "layers": layers}


def make_pagerank(folder, damping=0.85, top=10):
    near = neighbours(write_graph(folder))
    count = len(near)
    ranks = [1 / count] * count
    for _ in range(200):
        shares = [rank / len(links) for rank, links in zip(ranks, near)]
        ranks = [(1 - damping) / count + damping * sum(shares[b] for b, _ in links) for links in near]
    best = sorted(range(count), key=lambda vertex: (-ranks[vertex], vertex))[:top]
    return {"file": "graph.txt", "top": top}, {"best": [[vertex, ranks[vertex]] for vertex in best]}


def check_pagerank(reply, expected):
    wrong = check_equal([vertex for vertex, _ in reply["best"]], [vertex for vertex, _ in expected["best"]])
    away = max(abs(a - b) for (_, a), (_, b) in zip(reply["best"], expected["best"]))
    return wrong or (None if away < 1e-7 else f"a rank is wrong by {away}")


def make_mst(folder):
    near = neighbours(write_graph(folder))
    reached, weight, edges, frontier = set(), 0, -1, [(0, 0)]
    while frontier:
        cost, vertex = heapq.heappop(frontier)
        if vertex not in reached:
            reached.add(vertex)
            weight, edges = weight + cost, edges + 1
            for other, step in near[vertex]:
                heapq.heappush(frontier, (step, other))
    return {"file": "graph.txt"}, {"edges": edges, "weight": weight}


def make_dna(folder, points=500):
    fasta = inputs.genome()
    (folder / "genome.fasta").write_text(fasta)
    half, root = 0.5, 3 ** 0.5 / 2
    steps = {"A": (half, -root), "T": (half, root), "G": (root, -half), "C": (root, half)}
    x, y, walk = 0.0, 0.0, []
    for base in "".join(fasta.split("\n")[1:]):
        x, y = x + steps[base][0], y + steps[base][1]
        walk.append((x, y))
    last, columns = len(walk) - 1, list(zip(*walk))
    return ({"file": "genome.fasta", "points": points},
            {"bases": len(walk), "low": [min(column) for column in columns], "high": [max(column) for column in columns],
             "line": [walk[int(index * (last / (points - 1)))] if index < points - 1 else walk[last]
                      for index in range(points)]})


def check_dna(reply, expected):
    if (reply["bases"], len(reply["line"])) != (expected["bases"], len(expected["line"])):
        return f"there are {reply['bases']} bases and {len(reply['line'])} points"
    pairs = zip([reply["low"], reply["high"], *reply["line"]], [expected["low"], expected["high"], *expected["line"]])
    away = max(abs(a - b) for point, other in pairs for a, b in zip(point, other))
    return None if away < 2 else f"a point of the line is wrong by {away}"


def make_classification(folder, count=64):
    subprocess.run(["/usr/bin/python3", folder / "train.py", folder], check=True, timeout=120, stdin=subprocess.DEVNULL)
    truth = json.loads((folder / "truth.json").read_text())
    (folder / "truth.json").unlink()
    (folder / "train.py").unlink()
    return {"images": [case["image"] for case in truth[:count]]}, {"digits": [case["is"] for case in truth[:count]]}


def check_classification(reply, expected):
    if len(reply["digits"]) != len(expected["digits"]):
        return f"there are {len(reply['digits'])} answers to {len(expected['digits'])} pictures"
    right = sum(a == b for a, b in zip(reply["digits"], expected["digits"])) / len(expected["digits"])
    return None if right >= 0.95 else f"only {right:.0%} of the digits were recognised"


def make_gif(folder, fps=5, width=160, height=120):
    inputs.video(folder / "video.mp4")
    frames = inputs.video_frames(folder / "video.mp4", fps, width, height)
    return ({"file": "video.mp4", "fps": fps, "width": width, "height": height},
            {"size": [width, height], "frames": [base64.b64encode(inputs.box_means(frame, (width, height), (8, 6))).decode()
                                                 for frame in frames]})


def check_gif(reply, expected):
    from PIL import Image
    film = Image.open(io.BytesIO(base64.b64decode(reply["gif"])))
    size, frames = tuple(expected["size"]), [base64.b64decode(frame) for frame in expected["frames"]]
    if (film.format, film.size, film.n_frames) != ("GIF", size, len(frames)):
        return f"it is a {film.format} of {film.n_frames} pictures of {film.size} instead of {len(frames)} of {size}"
    for index, frame in enumerate(frames):
        film.seek(index)
        away = distance(inputs.box_means(film.convert("RGB").tobytes(), size, (8, 6)), frame)
        if away > FRAME_DISTANCE:
            return f"the colours of picture {index} are wrong by {away:.1f} on average"
    return None


def make_analytics(folder, top=10):
    rows = inputs.sales()
    (folder / "sales.csv").write_text(inputs.sales_csv(rows))
    regions, months, products = {}, {str(month): dict.fromkeys(sorted(inputs.REGIONS), 0) for month in range(1, 13)}, {}
    for row in rows:
        if not row["returned"]:
            amount, region = row["quantity"] * row["cents"], row["region"]
            total, count, largest = regions.get(region, (0, 0, 0))
            regions[region] = [total + amount, count + 1, max(largest, amount)]
            months[str(row["month"])][region] += amount
            products[row["product"]] = products.get(row["product"], 0) + amount
    best = sorted(products, key=lambda product: (-products[product], product))[:top]
    return {"file": "sales.csv", "top": top}, {"regions": regions, "months": months, "best": best}


def make_uploader(folder):
    content = served()["document"]
    return ({"download": SERVER + "/document", "upload": SERVER + "/upload"},
            {"bytes": len(content), "received": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}})


def make_hashing(folder):
    content = inputs.text(1 << 20, seed=23).encode()
    (folder / "document.txt").write_bytes(content)
    return {"file": "document.txt"}, {"sha256": hashlib.sha256(content).hexdigest()}


def make_request(folder):
    content = served()["article"].decode()
    return {"url": SERVER + "/article"}, {"status": 200, "characters": len(content), "words": len(content.split())}


def make_orders(folder):
    event, statements = inputs.orders(), {}
    for order in event["orders"]:
        if order["cancelled"]:
            continue
        statement = statements.setdefault(order["customer"], {"cents": 0, "pieces": 0, "lines": []})
        for item in order["items"]:
            cents = item["quantity"] * item["cents"]
            statement["lines"].append({"order": order["number"], "article": item["article"], "cents": cents})
            statement["cents"] += cents
            statement["pieces"] += item["quantity"]
    return event, statements


def served():
    """What the server of functions/server.py has, by name."""
    return {"article": inputs.text(16 << 10, seed=29).encode(), "document": inputs.text(256 << 10, seed=31).encode()}

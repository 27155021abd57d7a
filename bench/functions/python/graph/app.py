"""Three classics over a graph, by igraph: breadth-first search, PageRank, least spanning tree.

The graph is read from a file of lines "from to weight", once in each invocation, as a function that
is given another graph each time would.
"""

import pathlib

import igraph

HERE = pathlib.Path(__file__).parent


def read(name):
    edges, weights = [], []
    for line in (HERE / name).read_text().splitlines():
        a, b, weight = line.split()
        edges.append((int(a), int(b)))
        weights.append(int(weight))
    return igraph.Graph(edges=edges), weights


def bfs(event, context):
    graph, _ = read(event["file"])
    order, layers, _ = graph.bfs(event["from"])
    return {"reached": len(order), "layers": [b - a for a, b in zip(layers, layers[1:])]}


def pagerank(event, context):
    graph, _ = read(event["file"])
    ranks = graph.pagerank(damping=0.85)
    best = sorted(range(len(ranks)), key=lambda vertex: (-ranks[vertex], vertex))[:event["top"]]
    return {"best": [[vertex, ranks[vertex]] for vertex in best]}


def mst(event, context):
    graph, weights = read(event["file"])
    graph.es["weight"] = weights
    tree = graph.spanning_tree(weights="weight")
    return {"edges": tree.ecount(), "weight": sum(tree.es["weight"])}

"""Trains the model of this function, on the digits that scikit-learn ships: train.py OUTPUT.

Every fifth digit is kept out of the training. Which they are, and what each really is, is written to
OUTPUT/truth.json; the model to OUTPUT/model.pickle.
"""

import json
import pathlib
import pickle
import sys

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

digits = load_digits()
kept = [index % 5 == 0 for index in range(len(digits.target))]
model = make_pipeline(StandardScaler(with_std=False), PCA(24, random_state=1), KNeighborsClassifier(3, algorithm="brute"))
model.fit([image for image, keep in zip(digits.data, kept) if not keep],
          [target for target, keep in zip(digits.target, kept) if not keep])

output = pathlib.Path(sys.argv[1])
(output / "model.pickle").write_bytes(pickle.dumps(model, protocol=5))
(output / "truth.json").write_text(json.dumps(
    [{"image": image.astype(int).tolist(), "is": int(target)}
     for image, target, keep in zip(digits.data, digits.target, kept) if keep]))

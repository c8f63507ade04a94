"""A teacher that cannot leave its house: let it answer there, and bring its answers.

`rows` are the rows' numbers in their source: the line's place in a CSV from 0, or the `key` column.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesClassifier

inputs, targets = load_breast_cancer(return_X_y=True)
big = ExtraTreesClassifier(n_estimators=50, random_state=0).fit(inputs[:300], targets[:300])
np.savez("answers.npz", rows=np.arange(len(inputs)), probabilities=big.predict_proba(inputs))

"""Anything that numpy holds: save it once, then `stillhouse init --data signs.npz`."""

import numpy as np

draw = np.random.default_rng(0)
images = draw.random((300, 1, 16, 16))  # [N, channels, height, width] in [0, 1]; series [N, T, D]; tables [N, D]
letters = np.array(["A", "B", "C"])[np.arange(300) % 3]  # names or codes; "" or −1 where nobody labelled
people = np.arange(300) % 20  # optional: whoever must not be in train and test
np.savez("signs.npz", inputs=images, targets=letters, groups=people)

"""What the server that all faulty processes are forked from has done already: every import that a
retrain needs, and one export, whose own imports take seconds. No client, engine or thread exists.
"""

import io
import logging
import warnings

import dvc.cachemgr
import dvc.dvcfile
import dvc.lock
import dvc.repo.stage
import dvc.stage.cache  # noqa: F401
import great_expectations  # noqa: F401
import onnx  # noqa: F401
import onnxruntime.quantization  # noqa: F401
import onnxscript  # noqa: F401
import optuna  # noqa: F401
import ruamel.yaml  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn.datasets
import torch

from stillhouse.steps import all as steps_of

logging.getLogger("torch.onnx").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    steps_of.load()
    sklearn.datasets.load_digits()
    torch.onnx.export(
        torch.nn.Linear(2, 2).eval(),
        (torch.zeros(1, 2),),
        io.BytesIO(),
        dynamo=True,
        verbose=False,
    )

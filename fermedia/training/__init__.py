"""Train on FER-2013 and export a model folder. Only training itself imports tensorflow; evaluation does not."""

import os

# Both must be set before tensorflow is imported. oneDNN's convolutions halve the time of a step, also on processors
# where tensorflow leaves them off by default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

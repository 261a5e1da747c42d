"""The trainer: FER-2013 in, a model folder out. Only training itself imports tensorflow; measuring does without."""

import os

# Both must stand before tensorflow is imported. oneDNN's convolutions halve a training step, also on processors
# where tensorflow leaves them off by default.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

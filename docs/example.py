"""From a video to numbers, moments and a figure, in Python.

python docs/example.py interview.mp4
"""

import sys

import pandas as pd

import fermedia

# Every second frame is enough for expressions, which last for half a second and more.
timeline = fermedia.analyze(sys.argv[1], every=2)
print(f"{timeline['frame'].nunique()} frames, {timeline['face_id'].nunique()} faces")

# How long was each face seen, and what did it show on the whole? Report the coverage with it.
summary = fermedia.summary(timeline)
print(summary[["face_id", "coverage", "judged", "emotion", "happy_mean", "happy_share"]].to_string(index=False))

# From when to when did a face show an emotion?
segments = fermedia.segments(timeline)
print(segments[["face_id", "emotion", "begin", "end", "mean"]].to_string(index=False))

# Smiles of more than a second, with the moment of each to look up in the video.
smiles = segments.query("emotion == 'happy' and duration > 1")
for smile in smiles.itertuples():
    print(f"face {smile.face_id} smiles for {smile.duration:.1f} s, most at {smile.peak_time:.2f} s")

# A figure for a paper: PNG, SVG or PDF.
fermedia.plot_timeline(timeline, title="Interview").savefig("timeline.svg")

# Tables of another origin will do, if they have these columns: here a made-up face that is happy for two seconds.
times = [n / 10 for n in range(40)]
happy = [0.88 if time < 2 else 0.04 for time in times]
neutral = [0.92 - p for p in happy]
others = dict.fromkeys(("angry", "disgust", "fear", "sad", "surprise"), 0.016)
table = pd.DataFrame({"frame": range(40), "timestamp": times, "face_id": 0, **others})
table = table.assign(happy=happy, neutral=neutral)
print(fermedia.segments(table)[["emotion", "begin", "end"]].to_string(index=False))

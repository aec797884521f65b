"""What `tools/bench` measures: this controller beside what else could do its work, in one run, as ratios.

`program.py` reads the options and runs the parts named in `parts.py`; each part is a module that measures in
interleaved rounds (`rounds.py`) and says what it found in terms of goals (`findings.py`); `paper.py` prints it. The
other processes of a measurement (servers, load, cloud) are in `parties/`, started by `processes.py`.
"""

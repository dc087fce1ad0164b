"""`mylib`: score rows of features from the command line."""

from __future__ import annotations

import argparse

from mylib import Scorer


def main() -> None:
    parser = argparse.ArgumentParser(prog="mylib", description="Score rows of four features.")
    parser.add_argument("rows", nargs="+", help="four numbers, with commas between them")
    parser.add_argument("--device", help="cpu, cuda, openvino, … (default: the best that works)")
    options = parser.parse_args()

    scorer = Scorer(options.device)
    for probabilities in scorer([[float(number) for number in row.split(",")] for row in options.rows]):
        print(" ".join(f"{probability:.4f}" for probability in probabilities))
    print(f"computed by {scorer.session.get_providers()[0]}")

"""`review`: a page on which a person keeps or drops each video."""

from __future__ import annotations

import argparse


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of this step."""

"""CTC's beam search against flashlight's, in C++, on a trained recogniser of characters.

    python benchmarks/other_decoder.py --run result/asr/toy [--utterances 100] [--widen 3]

Decodes the first test utterances without a language model, and with a 3-gram of the training transcripts whose words
alone are allowed (weight 0.5). Where the two scores differ by more than 1e-4, both beams are made three times as wide,
up to ``widen`` times: a search leaves out what its beam has dropped. Prints a JSON line for each of the two: how many
texts are equal, how many scores are within 1e-4 and the largest difference, at first and in the end; and without a
language model the largest distance of each score from the exact one, which the CTC loss gives. Needs flashlight-text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import problems
from dataset.audio import read
from dataset.language.ngrams import learn
from dataset.metadata import read_csv
from nn.decode.ngram import NgramModel
from tests.parts.flashlight_decoder import LetterSearch, WordSearch

NEAR = 1e-4


def compared(
    search: LetterSearch | WordSearch, log_probs: list[torch.Tensor], beams: tuple[int, int], widen: int
) -> tuple[dict[str, Any], list[tuple[Sequence[Any], float, float]]]:
    """The report on one search, and of each utterance the text and our and their score."""
    first, last, best, equal = [], [], [], 0
    for own in log_probs:
        for more in range(widen + 1):
            (ours, score), (theirs, their_score) = (
                method(own, beam * 3**more) for method, beam in zip((search.ours, search.theirs), beams)
            )
            difference = abs(score - their_score)
            first += [difference] if not more else []
            if ours == theirs and difference <= NEAR:
                break
        equal += ours == theirs
        last.append(difference)
        best.append((ours, score, their_score))
    near = {name: sum(own <= NEAR for own in differences) for name, differences in (("first", first), ("last", last))}
    return {"equal_texts": equal, "within": near, "largest": {"first": max(first), "last": max(last)}}, best


def main() -> None:
    """Compare both searches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="target folder of a trained recogniser")
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--beam", type=int, default=300)
    parser.add_argument("--their_beam", type=int, default=1500)
    parser.add_argument("--widen", type=int, default=3)
    options = parser.parse_args()
    folder, model = options.run / "data", problems.load(str(options.run), device="cpu", task={"decode.name": "greedy"})
    symbols, log_probs = model.task.encoder.symbols, []
    for path in list(read_csv(folder / "test.csv", ("wav_path",))["wav_path"])[: options.utterances]:
        wav = torch.as_tensor(read(folder / path))
        with torch.inference_mode():
            logits, _ = model.task.run_model({"wav": wav[None], "wav_len": torch.tensor([len(wav)])})
        log_probs.append(logits[0].float().log_softmax(-1))
    ngrams = NgramModel(learn(list(read_csv(folder / "train.csv", ("transcription",))["transcription"]), 3))
    searches = {"letters": LetterSearch(symbols), "3-gram": WordSearch(ngrams, symbols, weight=0.5, word_score=0.0)}
    for name, search in searches.items():
        beams = (options.beam, options.their_beam)
        report, best = compared(search, log_probs, beams, options.widen)
        if name == "letters":
            exact = [exact_score(frames, tokens) for frames, (tokens, *_) in zip(log_probs, best)]
            for place, side in ((1, "ours"), (2, "theirs")):
                report[f"{side}_below_exact"] = max(true - one[place] for true, one in zip(exact, best))
        print(json.dumps({"benchmark": "other decoder", "search": name, "utterances": len(log_probs), **report}))


def exact_score(log_probs: torch.Tensor, tokens: list[int]) -> float:
    """The log probability of all paths of some tokens."""
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(tokens)])
    loss = torch.nn.functional.ctc_loss(log_probs.double()[:, None], torch.tensor([tokens]), *lengths, reduction="sum")
    return -loss.item()


if __name__ == "__main__":
    main()

"""The part that every problem shares: stages, config, the train loop, checkpoints. It knows no problem."""

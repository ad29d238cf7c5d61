"""What every problem shares: stages, config, the train loop, checkpoints. Knows no problem."""

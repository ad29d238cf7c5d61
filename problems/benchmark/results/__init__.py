"""Results as small JSON files that anyone can submit, and the leaderboard that is generated from them."""

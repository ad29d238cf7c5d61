"""Stage 4: tables, plots and one self-contained page from what the other stages left."""

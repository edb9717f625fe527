"""Results are made of finished runs: reports, comparisons, exports, averages, replays."""

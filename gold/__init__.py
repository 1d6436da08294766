"""Gold: principal components, what they explain, and the versions of the models behind them."""

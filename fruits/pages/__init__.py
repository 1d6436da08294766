"""What the pages of `fruits report` and `fruits app` share: how templates are filled, their frame, and `plot.js`."""

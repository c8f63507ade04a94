"""The search: spaces, studies that survive a kill, and the trial that wins."""

"""Training: experiments, schemes, and the run that one training writes."""
